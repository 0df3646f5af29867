//! What holds for every page, whatever is in it.

use std::collections::HashSet;

use charts::{
    Band, Block, Cell, Colour, Column, Curve, Curves, Figure, Goal, Grouped, Key, Lines, Page,
    Reference, Row, Section, Series, Shape, Split, StackedBars, Stroke, Table, Tile, format,
};

/// A page with every kind of figure, in which every text is `name` and every number one of `values`.
fn page(name: &str, values: &[f64], at_us: impl Fn(u64) -> u64) -> Page {
    let text = || name.to_owned();
    let at = |number: usize| values.get(number % values.len().max(1)).copied().unwrap_or(0.0);
    let keys = || {
        vec![
            Key::new(name, Colour::Orange),
            Key::new(name, Colour::Blue),
            Key::new(name, Colour::Red),
        ]
    };
    let rows = || -> Vec<Row> {
        (0..values.len())
            .map(|row| Row::new(name, [at(row), at(row + 1), at(row * 3 + 2)]))
            .collect()
    };
    let points: Vec<(u64, f64)> =
        (0..).zip(values).map(|(number, value)| (at_us(number), *value)).collect();
    let series = [Shape::Area, Shape::Line, Shape::Dashed, Shape::Steps].map(|shape| Series {
        name: text(),
        colour: Colour::Green,
        shape,
        points: points.clone(),
    });
    let band =
        points.iter().enumerate().map(|(number, (at_us, value))| (*at_us, *value, at(number + 1)));
    let mut table = Table {
        caption: text(),
        columns: vec![
            Column::words(name),
            Column::numbers(name),
            Column::bars(name, Colour::Purple),
        ],
        rows: Vec::new(),
    };
    for value in values {
        table
            .push([Cell::from(name), format::count(*value).into(), Cell::bar(name, *value)])
            .emphasis = true;
    }
    let figures: Vec<Figure> = vec![
        Lines {
            title: text(),
            note: text(),
            unit: text(),
            format: format::count,
            bands: vec![Band { name: text(), colour: Colour::Sky, points: band.collect() }],
            series: series.to_vec(),
        }
        .into(),
        StackedBars {
            title: text(),
            note: text(),
            format: format::usd,
            keys: keys(),
            rows: rows(),
            reference: Some(Reference { name: text(), amount: at(0) }),
        }
        .into(),
        Curves {
            title: text(),
            note: text(),
            curves: vec![Curve {
                name: text(),
                colour: Colour::Ink,
                stroke: Stroke::Dashed,
                emphasis: true,
                points: Curves::QUANTILES
                    .iter()
                    .zip(values)
                    .map(|(quantile, value)| (*quantile, *value))
                    .collect(),
                requests: 1_000_000,
            }],
            goal: Some(Goal { name: text(), quantile: 0.99, latency_us: at(0) }),
        }
        .into(),
        Split { title: text(), note: text(), keys: keys(), rows: rows() }.into(),
        Grouped { title: text(), note: text(), format: format::usd, keys: keys(), rows: rows() }
            .into(),
    ];
    let mut blocks = vec![
        Block::Text(text()),
        Block::Notes(vec![text(), text()]),
        Block::Tiles(vec![Tile::new(name, name, name)]),
        table.into(),
    ];
    blocks.extend(figures.into_iter().map(Block::Figure));
    Page {
        title: text(),
        lead: text(),
        notice: text(),
        tiles: vec![Tile::new(name, name, name)],
        sections: vec![
            Section { heading: text(), blocks: blocks.clone() },
            Section { heading: text(), blocks },
        ],
        footer: text(),
    }
}

/// The tags of a page, in their order, without what is in the style sheet.
fn tags(html: &str) -> Vec<&str> {
    let (head, rest) = html.split_once("<style>").expect("a style");
    let (_, body) = rest.split_once("</style>").expect("its end");
    [head, body]
        .into_iter()
        .flat_map(|part| part.split('<').skip(1))
        .map(|tag| tag.split_once('>').expect("each tag ends").0)
        .collect()
}

/// Asserts what holds for every page, and returns it.
fn check(page: &Page) -> String {
    let html = page.html();
    assert_eq!(html, page.html(), "equal pages give equal bytes");

    // Each element is closed, in its order, and none is foreign.
    let known: HashSet<&str> = "a b body caption dd desc details div dl dt figcaption figure footer h1 h2 h3 head header html i \
                                li main nav p path rect section summary svg table tbody td text th thead title tr ul"
        .split(' ')
        .collect();
    let mut open = Vec::new();
    for tag in tags(&html) {
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).expect("a name");
        if ["!doctype", "meta", "link"].contains(&name)
            || tag.ends_with('/') && known.contains(name)
        {
            continue;
        }
        assert!(known.contains(name), "<{tag}>");
        match tag.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop(), Some(closed)),
            None => open.push(name),
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "<{tag}>");
        let attribute = |part: &str| part.rsplit([' ', '/']).next().expect("a name").to_owned();
        for part in tag.split("=\"").collect::<Vec<_>>().split_last().expect("a tag").1 {
            let own = attribute(part);
            assert!(
                !own.starts_with("on") && !["href", "src"].contains(&&*own)
                    || tag.starts_with("a href=\"#s"),
                "<{tag}>"
            );
        }
    }
    assert!(open.is_empty(), "{open:?}");

    // Names within the page are unique, and what is referred to is there.
    let values = |attribute: &str| -> Vec<String> {
        let marked = format!(" {attribute}=\"");
        tags(&html)
            .iter()
            .filter_map(|tag| Some(tag.split_once(&*marked)?.1.split_once('"')?.0.to_owned()))
            .collect()
    };
    let ids: Vec<String> = values("id");
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "{ids:?}");
    for referred in values("aria-describedby").into_iter().chain(values("aria-labelledby")) {
        assert!(ids.contains(&referred), "{referred}");
    }
    assert_eq!(
        values("role").iter().filter(|role| *role == "img").count(),
        values("aria-describedby").len()
    );

    // Nothing is fetched, nothing is run, nothing is no number.
    for word in
        ["http://", "https://", "url(", "@import", "<script", "<img", "<iframe", "javascript:"]
    {
        assert!(!html.contains(word), "{word}");
    }
    for tag in tags(&html) {
        for value in
            [" d=\"", " x=\"", " y=\"", " width=\"", " height=\"", " viewBox=\"", " style=\""]
        {
            let Some(value) = tag.split_once(value).and_then(|rest| rest.1.split_once('"')) else {
                continue;
            };
            assert!(!value.0.contains("NaN") && !value.0.contains("inf"), "<{tag}>");
        }
    }
    html
}

const NOVEMBER_US: u64 = 1_794_614_400_000_000;

fn each_minute(number: u64) -> u64 {
    NOVEMBER_US + number * 60_000_000
}

#[test]
fn a_name_is_never_markup_wherever_it_stands() {
    let hostile = "</title></style><script>alert('x')</script>\"><img src=x onerror=\"y\" & \u{0}\u{1b}\u{202e}]]>--><!--";
    let html = check(&page(hostile, &[1.0, 2.0, 3.0], each_minute));
    assert!(!html.contains(['\u{0}', '\u{1b}', '\u{202e}']));
    assert!(
        html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&gt;&lt;img"),
        "it is there, as text"
    );
}

#[test]
fn any_numbers_make_a_page() {
    let huge = [f64::MAX, f64::MAX, 1e300, 1.0];
    let tiny = [f64::MIN_POSITIVE, 5e-324, 1e-300, 1e-12];
    let not = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0];
    let mixed = [1.0, f64::NAN, 1e308, 0.0, -1e308, f64::INFINITY, 1e-308, -3.0, 20.0];
    let cases: [&[f64]; 8] = [&[], &[7.0], &[0.0; 5], &huge, &tiny, &not, &mixed, &[-5.0, -1.0]];
    for values in cases {
        for name in ["", "planner"] {
            let html = check(&page(name, values, each_minute));
            let body = html.split_once("</style>").expect("a style").1;
            for word in ["NaN", "inf"] {
                assert!(!body.contains(word), "{word} of {values:?}");
            }
            check(&page(name, values, |_| 0));
            check(&page(name, values, |number| number * 1_000_000));
            check(&page(name, values, |number| u64::MAX - number));
            check(&page(name, values, |number| if number == 0 { 0 } else { u64::MAX }));
        }
    }
}

#[test]
fn without_data_a_page_says_so() {
    let html = check(&page("planner", &[], each_minute));
    // Five figures in each of two sections.
    assert_eq!(html.matches("There is nothing to show.").count(), 10);
    assert!(!html.contains("<svg class=\"screen\""), "no picture of nothing");
    check(&Page::default());
}

#[test]
fn values_that_are_no_numbers_are_told() {
    let html = check(&page("planner", &[1.0, f64::NAN, 3.0, 4.0], each_minute));
    assert!(html.contains("values are missing"));
    let html = check(&page("planner", &[1.0, 2.0, 3.0, 4.0], each_minute));
    assert!(!html.contains("missing:"));
}

#[test]
fn a_bar_that_is_off_by_far_is_cut_and_keeps_its_number() {
    let costs = |most: f64| {
        let rows = [100.0, 110.0, 90.0, most].map(|cost| Row::new("planner", [cost]));
        let figure = StackedBars {
            title: "costs".to_owned(),
            note: String::new(),
            format: format::usd,
            keys: vec![Key::new("all", Colour::Blue)],
            rows: rows.to_vec(),
            reference: None,
        };
        let sections = vec![Section { heading: "costs".to_owned(), blocks: vec![figure.into()] }];
        check(&Page { sections, ..Page::default() })
    };
    let (whole, cut) = (costs(130.0), costs(2000.0));
    assert!(!whole.contains("class=\"tear\"") && cut.contains("class=\"tear\""));
    assert!(cut.contains(">$2,000</text>"));
    // The others are as long as they would be without it.
    let longest = |html: &str| html.contains(">$150</text>");
    assert!(longest(&whole) && longest(&cut));
}

#[test]
fn a_peak_among_a_million_points_is_drawn_and_the_page_stays_small() {
    let points = (0..1_000_000_u64).map(|number| {
        (each_minute(number), if number == 700_001 { 500.0 } else { (number % 7) as f64 })
    });
    let lines = Lines {
        title: "load".to_owned(),
        note: String::new(),
        unit: "requests".to_owned(),
        format: format::count,
        bands: Vec::new(),
        series: vec![Series {
            name: "load".to_owned(),
            colour: Colour::Blue,
            shape: Shape::Area,
            points: points.collect(),
        }],
    };
    let sections = vec![Section { heading: "load".to_owned(), blocks: vec![lines.into()] }];
    let html = check(&Page { sections, ..Page::default() });
    assert!(html.len() < 100_000, "{}", html.len());
    let told = html
        .lines()
        .flat_map(|line| line.split("<title>"))
        .filter(|told| told.contains("load 500<"))
        .count();
    assert_eq!(told, 1, "whoever points at it reads it");
    // The scale ends at 500, so the peak is at the upper edge of the plot, 26 pixels down: more than 240 up from its neighbours.
    let screen = html.split_once("class=\"line thin blue\" d=\"").expect("a line").1;
    let screen = screen.split_once('"').expect("its end").0;
    let rises = screen.split(['h', 'v', 'l']).filter(|part| {
        part.rsplit([' ', '-'])
            .next()
            .and_then(|dy| dy.parse::<f64>().ok())
            .is_some_and(|dy| 240.0 < dy && dy < 251.0)
    });
    assert_eq!(rises.count(), 2, "up and down");
}

#[test]
fn a_report_of_one_scenario_is_under_150_kb_and_of_ten_under_1_5_mb() {
    // Nine planners of five items, a curve each, and 720 points for each of three series: what a replay keeps.
    let scenario = |number: usize| {
        let names = [
            "all-lambda",
            "static-peak",
            "best-static",
            "target-tracking",
            "knative",
            "predictive-scaling",
            "spock",
        ];
        let names = names.into_iter().chain(["last-value-newsvendor", "perfect-forecast"]);
        let rows = |keys: usize| -> Vec<Row> {
            let amounts =
                |at: usize| (0..keys).map(|key| 3.7 + (at * key) as f64).collect::<Vec<_>>();
            names.clone().enumerate().map(|(at, name)| Row::new(name, amounts(at))).collect()
        };
        let keys = |count: usize| -> Vec<Key> {
            (0..count).map(|at| Key::new("Fargate ephemeral storage", Colour::ALL[at])).collect()
        };
        let noise = |at: u64, most: u64| (at.wrapping_mul(2_654_435_761) >> 7) % most;
        let series = |name: &str, shape| Series {
            name: name.to_owned(),
            colour: Colour::Blue,
            shape,
            points: (0..720).map(|at| (each_minute(at), noise(at, 1000) as f64)).collect(),
        };
        let curve = |name: &str| Curve {
            name: name.to_owned(),
            colour: Colour::Red,
            stroke: Stroke::Solid,
            emphasis: false,
            points: Curves::QUANTILES
                .iter()
                .map(|quantile| (*quantile, 1e5 / (1.0 - quantile).sqrt()))
                .collect(),
            requests: 1_000_000,
        };
        let (title, note) =
            ("Load, and what was held ready for it".to_owned(), "What to see in it. ".repeat(5));
        let blocks: Vec<Block> = vec![
            Lines {
                title: title.clone(),
                note: note.clone(),
                unit: "requests at once".to_owned(),
                format: format::count,
                bands: Vec::new(),
                series: vec![
                    series("load", Shape::Area),
                    series("slots", Shape::Steps),
                    series("lambda", Shape::Line),
                ],
            }
            .into(),
            StackedBars {
                title: title.clone(),
                note: note.clone(),
                format: format::usd,
                keys: keys(5),
                rows: rows(5),
                reference: None,
            }
            .into(),
            Curves {
                title: title.clone(),
                note: note.clone(),
                curves: names.clone().map(curve).collect(),
                goal: None,
            }
            .into(),
            Split { title: title.clone(), note: note.clone(), keys: keys(3), rows: rows(3) }.into(),
            Grouped { title, note, format: format::usd, keys: keys(3), rows: rows(3) }.into(),
        ];
        Section { heading: format!("scenario {number}"), blocks }
    };
    for (scenarios, most) in [(1, 150_000), (10, 1_500_000)] {
        let page = Page { sections: (0..scenarios).map(scenario).collect(), ..Page::default() };
        let bytes = page.html().len();
        assert!(bytes < most, "{scenarios}: {bytes}");
    }
}
