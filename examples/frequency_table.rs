//! Builds `src/matcher/general.tsv`, the shipped document frequencies, from JSON-lines files of items with `title` and `text`:
//!
//! ```text
//! cargo run --release --example frequency_table -- FILE.jsonl... > src/matcher/general.tsv
//! ```
//!
//! Only counts leave this program. A stem must occur in at least three documents, so that no single text shows through.

use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead, BufReader, BufWriter, Write};

use anyhow::Context;
use newswatch::matcher::language::Language;
use newswatch::matcher::text::Tokenizer;

const STEMS_MAX: usize = 20_000;
const DOCUMENTS_MIN: u32 = 3;

#[derive(serde::Deserialize)]
struct Text {
    #[serde(default)]
    title: String,
    #[serde(default)]
    text: String,
}

fn main() -> anyhow::Result<()> {
    let mut tokenizer = Tokenizer::new();
    let (mut documents, mut counts) = (0u32, HashMap::<String, u32>::new());
    for path in std::env::args().skip(1) {
        let file = std::fs::File::open(&path).with_context(|| format!("cannot open {path}"))?;
        for line in BufReader::new(file).lines() {
            let text: Text = serde_json::from_str(&line?).with_context(|| format!("{path} is not JSON lines"))?;
            let document = tokenizer.read_as(Language::English, &text.title, &text.text);
            let mut surfaces = BTreeSet::new();
            for (index, token) in document.tokens().iter().enumerate() {
                surfaces.insert(&document.part_of(index)[token.start as usize..token.end as usize]);
            }
            let stems: BTreeSet<String> =
                surfaces.into_iter().filter_map(|surface| tokenizer.stem(Language::English, surface)).collect();
            for stem in stems {
                *counts.entry(stem).or_default() += 1;
            }
            documents += 1;
        }
    }
    let mut ranked: Vec<(u32, String)> = counts.into_iter().map(|(stem, count)| (count, stem)).collect();
    ranked.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let mut out = BufWriter::new(std::io::stdout().lock());
    writeln!(out, "documents\t{documents}")?;
    for (count, stem) in ranked.iter().take(STEMS_MAX).filter(|(count, _)| *count >= DOCUMENTS_MIN) {
        writeln!(out, "{stem}\t{count}")?;
    }
    Ok(())
}
