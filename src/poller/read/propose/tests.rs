use super::*;

fn proposed(html: &str) -> Vec<Proposal> {
    let url = Url::parse("https://www.example.org/news/").unwrap();
    proposals(&Document { url: &url, content_type: Some("text/html"), body: html.as_bytes() }).unwrap()
}

#[test]
fn a_list_is_found_among_menus_and_boxes() {
    let found = proposed(include_str!("../../../../tests/data/reading/list.html"));
    let best = &found[0];
    let rows: Vec<(String, String, String)> = best
        .reading
        .entries
        .iter()
        .map(|entry| {
            let date = entry.published.map(|date| date.to_string()[..10].to_string()).unwrap_or_default();
            (entry.title.clone(), entry.url.clone().unwrap(), date)
        })
        .collect();
    assert_eq!(rows.len(), 5, "{:?}\n{rows:#?}", best.select);
    assert_eq!(
        rows[0],
        (
            "Harbour authority opens second ferry berth after long delay".into(),
            "https://www.example.org/news/ferry-berth".into(),
            "2026-11-19".into()
        )
    );
    assert_eq!(best.select.item, "li.story");
}

#[test]
fn a_page_without_a_list_has_no_proposal() {
    assert!(proposed("<nav><a href=/a>Home</a><a href=/b>About</a><a href=/c>Contact</a></nav><p>Text").is_empty());
}

#[test]
fn hostile_pages_cost_little() {
    let link = |n: usize| format!("<a href=/{n}>A headline of some length, number {n}</a>");
    let dates = "<i>26 Sep 2026</i>".repeat(300);
    for html in [
        (0..30_000).map(link).collect::<String>(),
        (0..200).map(|n| format!("<div>{}{dates}</div>", link(n))).collect(),
        (0..250).map(|n| format!("<div class='a b c d e f g{n}'>{}", link(n % 10))).collect(),
        (0..2_000).map(|n| format!("<li>{}{}</li>", link(n), "word ".repeat(1_000))).collect(),
        format!("<{0}>{1}{2}{3}</{0}>", "x".repeat(40_000), link(1), link(2), link(3)),
        (0..3_000).map(|n| format!("<li class='{}'>{}</li>", "x ".repeat(200), link(n))).collect(),
        (0..2_000).map(|n| format!("<li data-date='{}'>{}</li>", "2026-09-26 ".repeat(200), link(n))).collect(),
    ] {
        let start = std::time::Instant::now();
        let url = Url::parse("https://www.example.org/news/").unwrap();
        let _ = proposals(&Document { url: &url, content_type: Some("text/html"), body: html.as_bytes() });
        assert!(start.elapsed().as_secs() < 20, "{} took {:?}", &html[..100], start.elapsed());
    }
}
