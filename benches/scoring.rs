//! How fast items are scored: megabytes a second with the shipped profiles, and the cost of an item as profiles grow in number.
//! The texts are generated: words of a made-up language whose frequencies fall as in a natural one.

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use newswatch::cli::profile::load;
use newswatch::matcher::frequency::Frequencies;
use newswatch::matcher::profile::{Profile, build};
use newswatch::matcher::score::{Explain, Scorer};
use newswatch::matcher::seed::Seed;
use newswatch::matcher::text::Tokenizer;

const VOCABULARY: u64 = 30_000;
const ITEM_WORDS: usize = 600;
const ITEMS: usize = 200;

/// A small generator with a fixed start, so that every run sees the same texts.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The number of a word: the n-th is about 1/n as frequent as the first.
    fn word(&mut self) -> u64 {
        ((VOCABULARY as f64).powf(self.next()) - 1.0) as u64
    }
}

fn spell(mut number: u64) -> String {
    let syllables = ["ka", "lo", "mir", "ten", "sa", "dou", "vel", "pri", "nas", "hu", "gor", "eth"];
    let mut word = String::new();
    number += syllables.len() as u64;
    while number > 0 {
        word.push_str(syllables[(number % syllables.len() as u64) as usize]);
        number /= syllables.len() as u64;
    }
    word
}

fn article(random: &mut Random, words: usize) -> String {
    let functions = ["the", "of", "and", "to", "in", "a"];
    let mut text = String::new();
    for n in 1..=words {
        // Two in five words of a text are function words.
        match random.next() {
            x if x < 0.4 => text.push_str(functions[(x * 15.0) as usize % functions.len()]),
            _ => text.push_str(&spell(random.word())),
        }
        text.push_str(if n % 17 == 0 { ". " } else { " " });
    }
    text
}

fn profiles(count: usize, frequencies: &Frequencies) -> Vec<Profile> {
    let profile = |n: usize| {
        let seed = |k: usize| {
            let text = article(&mut Random(1 + (n * 3 + k) as u64 * 7919), ITEM_WORDS);
            Seed { file: format!("{k}.txt"), title: String::new(), text }
        };
        build(&format!("profile-{n}"), &[seed(0), seed(1), seed(2)], frequencies).expect("built")
    };
    (0..count).map(profile).collect()
}

fn scoring(c: &mut Criterion) {
    let mut random = Random(42);
    let items: Vec<String> = (0..ITEMS).map(|_| article(&mut random, ITEM_WORDS)).collect();
    let bytes: usize = items.iter().map(String::len).sum();
    let mut group = c.benchmark_group("scoring");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .throughput(Throughput::Bytes(bytes as u64));

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/profiles.d");
    let files = ["apg", "panel-of-experts", "russian-exchanges"].map(|name| folder.join(format!("{name}.toml")));
    let shipped: Vec<Profile> = files.iter().map(|file| load(file).expect("readable").expect("no problems")).collect();
    let mut tokenizer = Tokenizer::new();

    group.bench_function("tokens only", |b| {
        b.iter(|| items.iter().map(|item| tokenizer.read("", item).tokens().len()).sum::<usize>());
    });
    group.bench_function("count only", |b| {
        let documents: Vec<_> = items.iter().map(|item| tokenizer.read("", item)).collect();
        let mut frequencies = Frequencies::new();
        b.iter(|| documents.iter().for_each(|document| frequencies.count(document)));
    });
    let mut scorer = Scorer::new(&shipped, &Frequencies::new()).expect("small");
    group.bench_function("shipped profiles", |b| {
        b.iter(|| {
            for item in &items {
                black_box(scorer.score(&tokenizer.read("", item), Explain::Hits));
            }
        });
    });
    let mut frequencies = Frequencies::new();
    group.bench_function("shipped profiles and counting", |b| {
        b.iter(|| {
            for item in &items {
                let document = tokenizer.read("", item);
                black_box(scorer.score(&document, Explain::Hits));
                frequencies.count(&document);
            }
        });
    });
    // Time per item = time / 200. The archive knows the language, as a daemon's does after its first days.
    let archive = counted(3, 2000);
    let most = if std::env::var_os("NEWSWATCH_BENCH_LARGE").is_some() { 10_000 } else { 1_000 };
    let all = profiles(most, &archive);
    for count in [1, 10, 100, 1_000, 10_000].into_iter().filter(|count| *count <= most) {
        let own = &all[..count];
        if count >= 1_000 {
            group.bench_function(BenchmarkId::new("building", count), |b| {
                b.iter(|| black_box(Scorer::new(own, &archive).expect("small")));
            });
        }
        let mut scorer = Scorer::new(own, &archive).expect("small");
        group.bench_function(BenchmarkId::new("profiles", count), |b| {
            b.iter(|| {
                for item in &items {
                    black_box(scorer.score(&tokenizer.read("", item), Explain::Hits));
                }
            });
        });
    }
    group.finish();
}

fn counted(seed: u64, documents: usize) -> Frequencies {
    let (mut tokenizer, mut random, mut frequencies) = (Tokenizer::new(), Random(seed), Frequencies::new());
    for _ in 0..documents {
        let text = article(&mut random, ITEM_WORDS);
        frequencies.count(&tokenizer.read("", &text));
    }
    frequencies
}

fn storing(c: &mut Criterion) {
    // A batch as the store keeps it, and an archive of a million terms.
    let (batch, archive) = (counted(1, 300), counted(2, 7000));
    let encoded = batch.encode();
    let mut group = c.benchmark_group("frequencies");
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    let label = |what: &str, f: &Frequencies| format!("{what} ({} terms)", f.terms());
    group.bench_function(label("encode", &batch), |b| b.iter(|| batch.encode().len()));
    group.bench_function(label("decode", &batch), |b| b.iter(|| Frequencies::decode(&encoded).expect("whole").terms()));
    group.bench_function(label("merge a batch into", &archive), |b| {
        let mut archive = archive.clone();
        b.iter(|| archive.merge(&batch));
    });
    group.bench_function(label("prune to half", &archive), |b| {
        b.iter_batched(|| archive.clone(), |mut a| a.prune(archive.terms() / 2), criterion::BatchSize::LargeInput);
    });
    group.finish();
}

criterion_group!(benches, scoring, storing);
criterion_main!(benches);
