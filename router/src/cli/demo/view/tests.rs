//! The demo's screen: what it says, word by word.

use pacer_demo::load::tally::End;

use super::{super::ahead::Tasks, *};

fn view() -> View {
    let mut tally = Tally::default();
    for n in 0..1200_u64 {
        tally.sent(Route::Thumb);
        let decision = if n < 1180 {
            "lane=lambda reason=declared"
        } else {
            "lane=container reason=spill-lambda-capped"
        };
        tally.ended(Route::Thumb, End::Ok(Duration::from_millis(4)), Some(decision));
    }
    tally.sent(Route::Render);
    tally.ended(
        Route::Render,
        End::Ok(Duration::from_millis(2500)),
        Some("lane=container reason=prior"),
    );
    tally.sent(Route::Render);
    tally.ended(
        Route::Render,
        End::Failed("/render status 503".to_owned()),
        Some("reason=refused"),
    );
    tally.sent(Route::Render);
    View {
        elapsed: Duration::from_secs(42),
        duration: Some(Duration::from_mins(1)),
        crowd: Some((Duration::from_secs(48), Duration::from_secs(51))),
        tally,
        goals: [Some(Duration::from_millis(250)), None, Some(Duration::from_secs(2))],
        seen: Seen { once: 1201, twice: 0, runs: 1201 },
        counts: Some(Counts {
            environments: 9,
            busy: 2,
            cold_starts: 12,
            throttles: 0,
            tasks_running: 2,
            tasks_starting: 1,
            tasks_desired: 3,
        }),
        cost: Some(Cost { lambda: PicoUsd(1_900_000_000), fargate: PicoUsd(2_200_000_000) }),
        ..View::default()
    }
}

#[test]
fn the_plan_is_told_while_the_crowd_is_awaited() {
    let why = "5 tasks: demand p86 = 4.4 busy slots at 18:21, break-even 12 %".to_owned();
    let plan = Some(Plan { why, p90: 4.62, start_s: 41.0, slots: 2 });
    let view = View { plan, ..view() };
    let live = view.live();
    assert_eq!(
        live[0],
        "demo  42s/60s #######...  crowd in 7s (forecast p90 4.6 busy slots, ready for 2)"
    );
    assert_eq!(live[5], "  plan: 5 tasks: demand p86 = 4.4 busy slots at 18:21, break-even 12 %");
    assert!(
        view.line()
            .ends_with("| plan: 5 tasks: demand p86 = 4.4 busy slots at 18:21, break-even 12 %")
    );
}

#[test]
fn the_end_tells_how_tasks_rose_and_what_else_the_load_would_have_cost() {
    let mut story = Story::default();
    for (seconds, desired, ready) in [(0, 2, 2), (13, 5, 2), (16, 5, 5), (20, 7, 5)] {
        story.note(Duration::from_secs(seconds), Tasks { desired, ready });
    }
    let outcome = |cost: u128, ms: u64, failed: u64| Outcome {
        cost: PicoUsd(cost),
        p99: Duration::from_millis(ms),
        failed,
    };
    let compared = Compared {
        all_lambda: outcome(7_000_000_000, 1400, 0),
        tracking: outcome(5_800_000_000, 3900, 1746),
        pacer: outcome(4_100_000_000, 1600, 0),
    };
    let plan = Some(Plan { start_s: 41.0, ..Plan::default() });
    let crowd = Some((Duration::from_secs(18), Duration::from_secs(36)));
    let (compared, time_scale) = (Some(compared), 20.0);
    let view = View { crowd, story, plan, time_scale, compared, ..view() };
    let end = view.end().join("\n");
    let rise = "  tasks: 2 in the quiet, raised from 100s before the crowd on, 5 ready when it came, 7 at most \
                (time of the recording; a start takes 41s)";
    assert!(end.contains(rise), "{end}");
    let otherwise = "  same load, replayed (simulated): all on lambda $0.0070 p99 1.4s | target tracking 70% $0.0058 \
                     p99 3.9s, 1,746 failed | pacer $0.0041 p99 1.6s";
    assert!(end.ends_with(otherwise), "{end}");
    // Stopped before the crowd came, there is nothing to tell of it.
    let early = View { elapsed: Duration::from_secs(17), ..view };
    assert!(!early.end().join("\n").contains("in the quiet"));
}

#[test]
fn the_live_lines_say_what_happens() {
    assert_eq!(
        view().live().join("\n"),
        "\
demo  42s/60s #######...  crowd in 7s
  /thumb     1,200 ok    0 failed  lambda 98% container 1.7%  p50   4.0ms  p99   4.0ms  goal 250ms
  /resize        0 ok    0 failed  -                          p50       -  p99       -
  /render        1 ok    1 failed  container                  p50    2.5s  p99    2.5s  goal 2.0s
  tasks 2 -> 3 (1 starting) | environments 9 (2 busy) | cold starts 12 (1.0% of requests) | throttled 0
  spilled 20 (lambda-capped 20) | failed 1 (1 x /render status 503)
  $0.0041 so far at list price (lambda $0.0019, fargate $0.0022)"
    );
}

#[test]
fn the_table_at_the_end_adds_up() {
    assert_eq!(
        view().end().join("\n"),
        "\
END: 1,203 sent = 1,201 ok + 1 failed + 1 in flight when stopped | 0 run twice
  route         sent        ok  failed  lambda/container      p50      p99   p99 goal
  /thumb       1,200     1,200       0        98% / 1.7%    4.0ms    4.0ms   250ms met
  /resize          0         0       0                 -        -        -   -
  /render          3         1       1         0% / 100%     2.5s     2.5s   2.0s MISSED
  why: declared 98%  spill-lambda-capped 1.7%  prior 0.1%  refused 0.1%
  failures: 1 x /render status 503
  tasks 2 -> 3 (1 starting) | environments 9 (2 busy) | cold starts 12 (1.0% of requests) | throttled 0
  $0.0041 so far at list price (lambda $0.0019, fargate $0.0022)"
    );
}

#[test]
fn a_rare_thing_is_not_shown_as_none() {
    let shown = [(0, 10), (1, 1000), (2, 10), (98, 100), (9996, 10_000), (10, 10), (0, 0)]
        .map(|(a, b)| percent(a, b));
    assert_eq!(shown, ["0%", "0.1%", "20%", "98%", "99.9%", "100%", "0%"]);
}

#[test]
fn what_was_not_measured_is_left_out() {
    let view = View { counts: None, cost: None, seen: Seen::default(), ..view() };
    let end = view.end().join("\n");
    assert!(!end.contains("tasks") && !end.contains('$'), "{end}");
    assert!(end.contains("0 run twice (of 0 whose run was reported)"), "{end}");
}

#[test]
fn a_line_is_one_line() {
    let line = view().line();
    assert!(
        line.starts_with("demo  42s/60s")
            && line.contains("| /thumb lambda 98%")
            && !line.contains('\n'),
        "{line}"
    );
}

#[test]
fn a_demo_without_load_shows_the_cloud_only() {
    let view = View { duration: None, ..view() };
    assert!(view.live()[0] == "demo  42s, no load" && view.live()[1].contains("tasks 2 -> 3"));
    assert!(
        view.line().starts_with("demo  42s, no load | ") && view.line().contains("tasks 2 -> 3")
    );
}
