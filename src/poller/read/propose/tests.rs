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
