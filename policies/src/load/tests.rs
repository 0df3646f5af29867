//! Policies in, problems or a resolved policy out. What people read is pinned word by word.

mod act;
mod telemetry;

use std::time::Duration;

use super::{MemorySource, load};
use crate::{
    decide::Class,
    policy::{AccessLog, Admin, Discovery, Lanes, Mode, Priority, SizeBy},
    problem::Problem,
    sample::{loaded, policy, problems},
};

fn warnings(text: &str) -> String {
    let lines: Vec<String> = loaded(&MemorySource::file("policy.yaml", text))
        .warnings
        .iter()
        .map(Problem::to_string)
        .collect();
    lines.join("\n")
}

#[test]
fn every_slip_of_one_file_is_told_in_one_run() {
    insta::assert_snapshot!(problems("
version: 2
regoin: eu-west-1
mode: observe
services:
  thumb:
    lambda:
      function: thumb:live
      memry: 1769MiB
      memory: 1769MiB
      max_in_flight: 0
      assume: { memory: 64MiB, timeout: 901s, arch: arm }
  Bad Name:
    container: { upstreams: [] }
  empty: {}
routes:
  - { match: { path: /a, path_prefix: /b, method: get }, service: thum }
  - { match: { host: 'a:80' }, service: thumb, class: marathn, lanes: [container], timeouts: { total: 30 } }
  - { service: thumb, mode: off }
  - stray
"), @"
    policy.yaml:2:10 version: this Pacer reads version 1, not `2`; write `version: 1`
    policy.yaml:3:1 regoin: unknown field `regoin`; did you mean `region`?
    policy.yaml:4:1 mode: belongs in `defaults`, a service or a route; move it there
    policy.yaml:9:7 services.thumb.lambda.memry: unknown field `memry`; did you mean `memory`?
    policy.yaml:10:7 services.thumb.lambda.memory: belongs in `assume: { memory: ... }`; move it there
    policy.yaml:11:22 services.thumb.lambda.max_in_flight: expected a whole number from 1, got `0`
    policy.yaml:12:25 services.thumb.lambda.assume.memory: Lambda sells 128MiB to 10240MiB, got `64MiB`
    policy.yaml:12:41 services.thumb.lambda.assume.timeout: a function's timeout is 1s to 900s, got `901s`
    policy.yaml:12:53 services.thumb.lambda.assume.arch: expected `arm64` or `x86_64`, got `arm`
    policy.yaml:13:3 services.Bad Name: expected a name of at most 64 of the characters a-z, 0-9, `-` and `_`, got `Bad Name`; rename it
    policy.yaml:14:16 services.Bad Name.container.requests_per_task: missing; write how many requests one task serves at once
    policy.yaml:14:16 services.Bad Name.container.upstreams: missing; write at least one URL
    policy.yaml:15:3 services.empty: has no lane; give it `lambda`, `container` or both
    policy.yaml:17:39 routes[0].match.path_prefix: `path` is written too; keep one of them
    policy.yaml:17:51 routes[0].match.method: methods are case-sensitive, got `get`; write `GET`
    policy.yaml:17:67 routes[0].service: no service is named `thum`; did you mean `thumb`?
    policy.yaml:18:22 routes[1].match.host: expected a host such as `api.example.com` or `*.example.com`, got `a:80`; a route matches any port, so write the host alone
    policy.yaml:18:55 routes[1].class: expected `sprinter`, `marathon` or `auto`, got `marathn`; did you mean `marathon`?
    policy.yaml:18:72 routes[1].lanes[0]: service `thumb` has no container lane; remove `container`, or add the lane to it
    policy.yaml:18:103 routes[1].timeouts.total: expected a duration such as `250ms`, `1.5s` or `1m30s`, got `30`; did you mean `30s` or `30ms`?
    policy.yaml:19:5 routes[2].match: missing; write what it matches; `match: {}` matches every request
    policy.yaml:19:23 routes[2].mode: belongs to a service; move it there
    policy.yaml:20:5 routes[3]: expected fields (`key: value`), got `stray`
    ");
}

#[test]
fn what_is_not_built_yet_is_refused_at_its_place() {
    insta::assert_snapshot!(problems("
version: 1
tls: { cert: a }
listen: { tls: on }
defaults: { canary: 1% }
services:
  one:
    lambda:
      function: f:live
      event: alb
      invoke: stream
      assume_role: r
    container:
      ecs: { cluster: c, service: s, port: 80 }
      requests_per_task: 1
    budget: { month: $3000 }
routes:
  - { match: {}, service: one, rewrite: x, rate_limit: 1 }
"), @"
    policy.yaml:3:1 tls: not yet supported; remove it
    policy.yaml:4:11 listen.tls: not yet supported; remove it
    policy.yaml:5:13 defaults.canary: not yet supported; remove it
    policy.yaml:12:7 services.one.lambda.assume_role: not yet supported; remove it
    policy.yaml:16:5 services.one.budget: not yet supported; remove it
    policy.yaml:18:32 routes[0].rewrite: not yet supported; remove it
    policy.yaml:18:44 routes[0].rate_limit: not yet supported; remove it
    ");
}

#[test]
fn checks_reach_across_fields_and_files() {
    let source = MemorySource::file(
        "etc/policy.yaml",
        "
version: 1
region: us-east-1
include: [teams/*.yaml, gone.yaml, none/*.yaml]
listen: { http: '0.0.0.0:9900' }
services:
  one:
    lambda: { function: 'arn:aws:lambda:eu-west-1:123456789012:function:f', cold_start: snapstart }
    needs: [affinity]
routes:
  - { match: { path: /a }, service: one, lanes: [container] }
  - { match: { path: /a, method: GET }, service: one, buffer: 1GiB }
",
    )
    .with_file(
        "etc/teams/a.yaml",
        "
region: eu-west-1
services:
  one:
    container: { upstreams: ['http://a', 'http://a:80'], requests_per_task: 1, ecs: {} }
  two:
    container: { ecs: { cluster: c }, requests_per_task: x }
routes:
  - { match: { path: /a, method: [GET, PUT] }, service: two }
  - { match: { path: /a, method: POST }, service: two }
",
    )
    .with_file("etc/teams/b.yaml", "services: [\n");
    insta::assert_snapshot!(load("etc/policy.yaml", &source).unwrap_err(), @"
    etc/policy.yaml:4:25 include[1]: cannot read `etc/gone.yaml`: no such file
    etc/policy.yaml:5:17 listen.http: listen.http (0.0.0.0:9900) and admin (127.0.0.1:9900) are one socket; give one another port
    etc/policy.yaml:7:3 services.one: needs `affinity`, which Lambda cannot give; add a `container` or remove the need
    etc/policy.yaml:8:25 services.one.lambda.function: is in eu-west-1, but `region` is us-east-1; calls go to one region: change one of them
    etc/policy.yaml:8:89 services.one.lambda.cold_start: only works on a published version; name an alias or version in `function`, such as `name:live`
    etc/policy.yaml:11:50 routes[0].lanes[0]: service `one` has no container lane; remove `container`, or add the lane to it
    etc/policy.yaml:12:63 routes[1].buffer: more than `limits.buffered` (256MiB); lower it
    etc/teams/a.yaml:2:1 region: belongs in the main file; move it there
    etc/teams/a.yaml:4:3 services.one: service `one` is defined at etc/policy.yaml:7:3 already; keep one, or rename this one
    etc/teams/a.yaml:5:85 services.one.container.ecs: `upstreams` is written too; keep one of them
    etc/teams/a.yaml:7:23 services.two.container.ecs.port: missing; ecs needs `cluster`, `service` and `port`
    etc/teams/a.yaml:7:23 services.two.container.ecs.service: missing; ecs needs `cluster`, `service` and `port`
    etc/teams/a.yaml:7:58 services.two.container.requests_per_task: expected a whole number from 1, got `x`
    etc/teams/a.yaml:9:5 routes[0].match: matches the same requests as the route at etc/policy.yaml:12:5, and neither is more specific; add a condition to one
    etc/teams/b.yaml:1:11 not valid YAML: unclosed bracket '['
    ");
}

#[test]
fn unknown_services_and_missing_routes_are_told_with_a_fix() {
    let text = "
version: 1
services: { thumb: { lambda: { function: f } } }
routes: [{ match: {}, service: thum }, { match: { path: /x }, service: other }]
";
    insta::assert_snapshot!(problems(text), @"
    policy.yaml:4:32 routes[0].service: no service is named `thum`; did you mean `thumb`?
    policy.yaml:4:72 routes[1].service: no service is named `other`; define it under `services`
    ");
    insta::assert_snapshot!(problems("version: 1"), @"policy.yaml routes: there is no route; write at least one, or nothing is ever answered");
    insta::assert_snapshot!(problems(""), @"policy.yaml:1:1 version: missing; write `version: 1` first");
    insta::assert_snapshot!(problems("- 1"), @"policy.yaml:1:1 expected fields (`key: value`), got a list");
    let missing = load("nowhere.yaml", &MemorySource::default()).unwrap_err();
    insta::assert_snapshot!(missing, @"nowhere.yaml cannot be read: no such file");
}

#[test]
fn what_is_legal_but_hardly_meant_is_a_warning() {
    let text = "
version: 1
include: [none/*.yaml]
services:
  one:
    lambda: { function: f, assume: { memory: 1GiB, timeout: 10s } }
    container: { upstreams: [http://a], requests_per_task: 1, probe: { timeout: 9s } }
  guessed: { lambda: { function: g } }
  unused: { lambda: { function: h, assume: { memory: 1GiB, timeout: 30s } } }
routes:
  - { match: { path: /a }, service: one }
  - { match: { path: /b }, service: one, timeouts: { total: 15s }, auto: { prior: 12s }, buffer: 8MiB }
  - { match: { path: /c }, service: one, lanes: [container] }
  - { match: { path: /d }, service: guessed }
";
    insta::assert_snapshot!(warnings(text), @"
    policy.yaml:3:11 include[0]: no file matches `none/*.yaml`
    policy.yaml:6:61 services.one.lambda.assume.timeout: requests may take 30s (timeouts.total), but the function ends them after 10s; align them
    policy.yaml:7:81 services.one.container.probe.timeout: is longer than the interval of 5s: probes will overlap
    policy.yaml:8:34 services.guessed.lambda.function: its memory and timeout are guessed as 1769MiB and 30s; write `assume: { memory, timeout }`
    policy.yaml:9:3 services.unused: no route leads to it
    policy.yaml:12:61 routes[1].timeouts.total: requests may take 15s (timeouts.total), but the function ends them after 10s; align them
    policy.yaml:12:61 routes[1].timeouts.total: total (15s) ends before first_byte (20s), which then never counts; swap or align them
    policy.yaml:12:83 routes[1].auto.prior: auto.prior (12s) reaches the function's timeout (10s): Lambda is not used until shorter requests were seen
    policy.yaml:12:98 routes[1].buffer: Lambda takes no event above 6MiB; the rest is read in vain
    ");
}

#[test]
fn a_route_whose_requests_go_elsewhere_is_a_warning() {
    let text = "
version: 1
services: { one: { container: { upstreams: [http://a], requests_per_task: 1 } } }
routes:
  - { match: { path: /.pacer/ready }, service: one }
  - { match: { host: api.example.com }, service: one }
  - { match: { host: shop.example.com, path_prefix: /v1 }, service: one }
  - { match: { path: /v1/orders }, service: one }
  - { match: { host: '*.example.com', path: /about }, service: one }
  - { match: { host: api.example.com, path: /here }, service: one }
  - { match: { method: GET }, service: one }
";
    insta::assert_snapshot!(warnings(text), @"
    policy.yaml:5:5 routes[0].match: is never reached: `listen.health` is answered by the gateway itself; move one of them
    policy.yaml:8:5 routes[3].match: does not get what is asked of `shop.example.com`: that goes to the route at policy.yaml:7:5 (and 1 more such), because a host wins before any path; repeat this route with that host, if it shall
    policy.yaml:9:5 routes[4].match: does not get what is asked of `api.example.com`: that goes to the route at policy.yaml:6:5, because a host wins before any path; repeat this route with that host, if it shall
    ");
}

#[test]
fn what_a_platform_engineer_would_want_to_be_told_is_a_warning() {
    let text = "
version: 1
listen: { trust_forwarded_from: ['0.0.0.0/0'] }
admin: { listen: '0.0.0.0:9900', tokens: { operator: abcdefghijklmnop } }
limits: { buffered: 8MiB }
services:
  one: { lambda: { function: f, assume: { memory: 1GiB, timeout: 30s } } }
  two: { container: { upstreams: [http://a], requests_per_task: 1 } }
routes:
  - { match: { path: /a }, service: one, class: marathon }
  - { match: { path: /b }, service: two, class: sprinter }
  - { match: { path: /c }, service: two, timeouts: { queue: 30s } }
  - { match: { path: /d }, service: one, auto: { sprinter_up_to: 40s } }
";
    insta::assert_snapshot!(warnings(text), @"
    policy.yaml:3:34 listen.trust_forwarded_from[0]: every client is believed about where it comes from; name the proxies' networks
    policy.yaml:4:8 admin: tokens pass in clear: add `tls`, or keep strangers off the way
    policy.yaml:5:21 limits.buffered: an event for Lambda may take 6MiB, and its answer as much; below 12MiB the largest never reach it
    policy.yaml:10:49 routes[0].class: there is no container lane here, the home of marathons: all go to lambda, and the class changes nothing
    policy.yaml:11:49 routes[1].class: there is no lambda lane here, the home of sprinters: all go to container, and the class changes nothing
    policy.yaml:12:61 routes[2].timeouts.queue: queue (30s) is not shorter than total (30s): it never ends anything; swap or align them
    policy.yaml:13:66 routes[3].auto.sprinter_up_to: sprinters may take 40s, but the function ends after 30s; lower it
    ");
}

#[test]
fn snapstart_with_provisioned_concurrency_is_refused_with_the_reason() {
    let text = "
version: 1
services:
  one: { lambda: { function: 'f:live', cold_start: [snapstart, provisioned] } }
  two: { lambda: { function: 'g:live', cold_start: snapstart } }
  three: { lambda: { function: 'g:live', cold_start: provisioned, provisioned_concurrency: 5 } }
  four: { lambda: { function: 'g:other', cold_start: provisioned } }
routes: [{ match: {}, service: one }]
";
    insta::assert_snapshot!(problems(text), @"
    policy.yaml:4:52 services.one.lambda.cold_start: SnapStart and provisioned concurrency exclude each other: AWS refuses provisioned concurrency on a version with SnapStart; keep one of them
    policy.yaml:6:54 services.three.lambda.cold_start: SnapStart and provisioned concurrency exclude each other: AWS refuses provisioned concurrency on a version with SnapStart; keep one of them (the other is at policy.yaml:5:52)
    policy.yaml:6:67 services.three.lambda.provisioned_concurrency: is told by `cold_start: snapstart` or `cold_start: provisioned`
    ");
}

#[test]
fn references_to_the_environment_are_values_of_their_field() {
    let text = "
version: 1
listen: { http: \"127.0.0.1:${PORT}\" }
services:
  one: { container: { upstreams: [\"http://${HOST:-localhost}:80\"], requests_per_task: \"${SLOTS:-4}\" } }
routes: [{ match: {}, service: one }]
";
    let source = MemorySource::file("policy.yaml", text).with_env("PORT", "8081");
    let policy = loaded(&source).policy;
    assert_eq!(policy.listen.http.port(), 8081);
    let container = policy.services[0].container.as_ref().unwrap();
    assert_eq!(container.requests_per_task, 4);
    insta::assert_snapshot!(problems(text), @"policy.yaml:3:17 listen.http: environment variable `PORT` is not set; set it, or give a default: `${PORT:-value}`");
    let words = source.with_env("SLOTS", "many");
    insta::assert_snapshot!(load("policy.yaml", &words).unwrap_err(), @"policy.yaml:5:87 services.one.container.requests_per_task: expected a whole number from 1, got `many`");
}

#[test]
fn a_route_inherits_field_by_field() {
    let policy = policy(
        "
version: 1
defaults:
  mode: off
  timeouts: { connect: 2s, total: 40s }
  retry: { budget: 5%, idempotent_by: [PUT] }
  priority: low
  objective: { p99: 1s, success: 99.9% }
services:
  one:
    mode: observe
    container: { upstreams: [http://a], requests_per_task: 2 }
    timeouts: { total: 50s }
    auto: { prior: 3s, size_by: { query: frames } }
    objective: { window: 30d }
routes:
  - match: { path: /a }
    service: one
    timeouts: { queue: 0s }
    retry: { on: [] }
    auto: { size_by: content_length }
    decision_header: true
    buffer: 64KiB
    objective: { p99: 25s }
  - { match: { path: /b }, service: one, class: marathon, lanes: [container], priority: high }
",
    );
    let service = &policy.services[0];
    assert_eq!(service.mode, Mode::Observe);
    assert_eq!(service.objective.p99, Some(Duration::from_secs(1)));
    assert_eq!(service.objective.window, Some(Duration::from_hours(30 * 24)));
    let [a, b] = &*policy.routes else { panic!("two routes are written") };
    assert_eq!(a.timeouts.connect, Duration::from_secs(2));
    assert_eq!(a.timeouts.total, Duration::from_secs(50));
    assert_eq!(a.timeouts.queue, Duration::ZERO);
    assert_eq!(b.timeouts.queue, Duration::from_millis(200));
    assert!(!a.retry.did_not_run);
    assert!(b.retry.did_not_run);
    assert!((a.retry.budget - 0.05).abs() < 1e-12);
    assert_eq!(*a.retry.idempotent_methods, [http::Method::PUT]);
    assert!(a.retry.idempotent_headers.is_empty());
    assert_eq!(a.auto.prior, Duration::from_secs(3));
    assert_eq!(a.auto.size_by, Some(SizeBy::ContentLength));
    assert_eq!(b.auto.size_by, Some(SizeBy::Query("frames".into())));
    assert_eq!((a.buffer, b.buffer), (65_536, 1_048_576));
    assert_eq!((a.priority, b.priority), (Priority::Low, Priority::High));
    assert!(a.decision_header && !b.decision_header);
    assert_eq!((a.class, b.class), (None, Some(Class::Marathon)));
    assert_eq!((a.lanes, b.lanes), (Lanes::BOTH, Lanes { lambda: false, container: true }));
    assert_eq!(a.objective.p99, Some(Duration::from_secs(25)));
    assert_eq!(a.objective.success, Some(0.999));
    assert_eq!((&*a.name, &*a.place), ("/a", "policy.yaml:17"));
}

#[test]
fn an_empty_policy_is_filled_with_defaults() {
    let policy = policy(
        "
version: 1
services: { one: { container: { upstreams: ['https://app.internal'], requests_per_task: 1 } } }
routes: [{ match: {}, service: one }]
",
    );
    assert_eq!(policy.listen.http, "0.0.0.0:8080".parse().unwrap());
    assert_eq!(&*policy.listen.health, "/.pacer/ready");
    assert_eq!(policy.listen.idle_timeout, Duration::from_secs(75));
    assert_eq!(policy.metrics, Some("0.0.0.0:9901".parse().unwrap()));
    assert_eq!(policy.admin, Some(Admin::at("127.0.0.1:9900".parse().unwrap())));
    assert_eq!(policy.access_log, AccessLog::Off);
    assert_eq!(policy.limits.connections, 20_000);
    assert_eq!(policy.limits.buffered, 256 << 20);
    let Discovery::Upstreams(upstreams) = &policy.services[0].container.as_ref().unwrap().discovery
    else {
        panic!("upstreams are written")
    };
    assert!(upstreams[0].tls && upstreams[0].port == 443 && &*upstreams[0].host == "app.internal");
}

#[test]
fn the_gateways_own_fields_are_read() {
    let policy = policy("
version: 1
region: eu-west-1
endpoint_url: http://127.0.0.1:4566/
listen: { http: '127.0.0.1:0', health: /ready, trust_forwarded_from: [10.0.0.0/16, '::1'], idle_timeout: 5s }
metrics: off
admin: off
access_log: { file: /tmp/a.log }
limits: { connections: 1, request_head: 8KiB, buffered: 2MiB, queue: 2, shutdown: 0s }
services: { one: { container: { ecs: { cluster: c, service: s, port: 80 }, requests_per_task: 1 } } }
routes: [{ match: {}, service: one }]
");
    assert_eq!(policy.region.as_deref(), Some("eu-west-1"));
    assert_eq!(policy.endpoint_url.as_deref(), Some("http://127.0.0.1:4566"));
    assert_eq!((policy.metrics, policy.admin.as_ref()), (None, None));
    assert_eq!(policy.access_log, AccessLog::File("/tmp/a.log".into()));
    assert_eq!(policy.listen.trust_forwarded_from.len(), 2);
    assert!(policy.listen.trust_forwarded_from[0].contains("10.0.7.7".parse().unwrap()));
    assert!(!policy.listen.trust_forwarded_from[0].contains("10.1.0.1".parse().unwrap()));
    assert_eq!((policy.limits.request_head, policy.limits.queue), (8192, 2));
    assert_eq!(policy.limits.shutdown, Duration::ZERO);
}

#[test]
fn includes_are_read_once_and_relative_to_their_file() {
    let main = "
version: 1
include: [teams/*.yaml, teams/a.yaml]
services: { one: { container: { upstreams: [http://a], requests_per_task: 1 } } }
routes: [{ match: {}, service: one }]
";
    let a = "include: [deep/b.yaml]\nroutes: [{ match: { path: /a }, service: one }]\n";
    let b = "include: [../a.yaml, ./b.yaml]\nroutes: [{ match: { path: /b }, service: one }]\n";
    let source = MemorySource::file("etc/policy.yaml", main)
        .with_file("etc/teams/a.yaml", a)
        .with_file("etc/teams/deep/b.yaml", b)
        .with_file("etc/teams/.hidden.yaml", "nonsense: 1\n");
    let loaded = load("etc/policy.yaml", &source).unwrap();
    assert_eq!(loaded.files, ["etc/policy.yaml", "etc/teams/a.yaml", "etc/teams/deep/b.yaml"]);
    let places: Vec<&str> = loaded.policy.routes.iter().map(|route| &*route.place).collect();
    assert_eq!(places, ["etc/teams/a.yaml:2", "etc/teams/deep/b.yaml:2", "etc/policy.yaml:5"]);
}

#[test]
fn no_text_panics_while_loading() {
    let whole = crate::sample::HYBRID;
    for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
        // Only that each prefix is answered counts here; most are bad policies.
        let _ = load("policy.yaml", &MemorySource::file("policy.yaml", &whole[..end]));
    }
}

#[test]
fn who_may_use_the_admin_api_is_written_whole_or_refused() {
    let text = "
version: 1
admin:
  listen: 0.0.0.0:9900
  tokens: { read: '0123456789abcdef', operator: 'fedcba9876543210' }
  tls: { certificate: a.pem, key: b.pem, clients: c.pem }
services: { a: { container: { upstreams: [http://b], requests_per_task: 1 } } }
routes: [{ match: {}, service: a }]
";
    let policy = policy(text);
    let admin = policy.admin.clone().expect("it is on");
    assert!(admin.asks());
    assert!(admin.tokens.operator.as_ref().is_some_and(|token| token.is(b"fedcba9876543210")));
    assert!(!format!("{policy:?}").contains("fedcba98"), "no secret gets out");
    let open = text
        .replace("  tokens: { read: '0123456789abcdef', operator: 'fedcba9876543210' }\n", "")
        .replace("  tls: { certificate: a.pem, key: b.pem, clients: c.pem }\n", "");
    insta::assert_snapshot!(problems(&open), @"policy.yaml:4:3 admin: whoever reaches it could stop all scaling: write `{ listen, tokens: { read, operator } }` or `tls: { clients }`, or listen on 127.0.0.1");
    let odd = text
        .replace("'fedcba9876543210'", "'0123456789abcdef'")
        .replace("key: b.pem, ", "")
        .replace("read:", "write: short, read:");
    insta::assert_snapshot!(problems(&odd), @"
    policy.yaml:5:13 admin.tokens.write: unknown field `write`; known here: operator, read
    policy.yaml:5:63 admin.tokens.operator: it is the token of `read`: whoever may look could act, too
    policy.yaml:6:8 admin.tls.key: missing; write the path of a PEM file with its private key
    ");
    let short = text
        .replace("'0123456789abcdef'", "hunter2")
        .replace("fedcba9876543210", "with a space in it");
    insta::assert_snapshot!(problems(&short), @"
    policy.yaml:5:19 admin.tokens.read: a token has 16 characters at least, this one has 7; `openssl rand -base64 24` makes one, and `${VARIABLE}` keeps it out of this file
    policy.yaml:5:38 admin.tokens.operator: a token consists of letters, digits and -._~+/=
    ");
}
