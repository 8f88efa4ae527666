//! In how many documents each term occurs: the archive's own counts, the shipped table, and the rarity that follows.
//!
//! A foreign table alone fails on house style and page boilerplate, a young archive alone knows nothing, so a term is as
//! frequent as the more sceptical of the two says (recipe R, step 8). Terms are known by the hash of their stem only.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::noise::Noise;
use super::text::{Document, word_key};

/// The archive's counts weigh fully when it is much larger than this many documents.
const OWN_PRIOR_DOCUMENTS: f64 = 50.0;
/// First bytes of the stored form: name and version.
const MAGIC: &[u8; 4] = b"nwf2";
/// More terms than this are refused when reading: 1 GB of memory would be a mistake, not an archive.
const TERMS_MAX: u64 = 16_000_000;
/// Profiles, and versions of them, whose scores are remembered.
const NOISES_MAX: u64 = 20_000;

/// The keys are hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

/// A map by term.
pub type KeyMap<V> = HashMap<u64, V, BuildHasherDefault<KeyHasher>>;

/// A term: one stem, or two that are adjacent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Key {
    /// See [`super::text::Token::word`].
    Word(u64),
    /// See [`super::text::Token::pair`].
    Pair(u64),
}

impl Key {
    /// The hash alone.
    pub fn hash(self) -> u64 {
        match self {
            Key::Word(hash) | Key::Pair(hash) => hash,
        }
    }
}

/// Counts of documents by term.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frequencies {
    documents: u64,
    length: u64,
    counts: KeyMap<u32>,
    /// The scores of what was read, by [`super::profile::Profile::noise_key`].
    noises: KeyMap<Noise>,
}

/// Why a stored form cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("stored document frequencies cannot be used: {0}")]
pub struct Damaged(&'static str);

impl Frequencies {
    /// Nothing counted yet.
    pub fn new() -> Frequencies {
        Frequencies::default()
    }

    /// Documents counted.
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// Terms known.
    pub fn terms(&self) -> usize {
        self.counts.len()
    }

    /// In how many documents the term occurred.
    pub fn count_of(&self, key: Key) -> u32 {
        self.counts.get(&key.hash()).copied().unwrap_or(0)
    }

    /// Counts one document: each of its words and pairs once.
    pub fn count(&mut self, document: &Document<'_>) {
        let mut keys: Vec<u64> = Vec::with_capacity(document.tokens().len() * 2);
        for token in document.tokens() {
            keys.push(token.word);
            if token.pair != 0 {
                keys.push(token.pair);
            }
        }
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let count = self.counts.entry(key).or_default();
            *count = count.saturating_add(1);
        }
        self.documents += 1;
        self.length += document.length();
    }

    /// Counts the score of an item against a profile.
    pub fn count_score(&mut self, profile: u64, score: f64) {
        if self.noises.contains_key(&profile) || (self.noises.len() as u64) < NOISES_MAX {
            self.noises.entry(profile).or_default().count(score);
        }
    }

    /// How a profile's scores were so far.
    pub fn noise(&self, profile: u64) -> Option<&Noise> {
        self.noises.get(&profile)
    }

    /// Adds what another has counted.
    pub fn merge(&mut self, other: &Frequencies) {
        self.documents = self.documents.saturating_add(other.documents);
        self.length = self.length.saturating_add(other.length);
        for (key, more) in &other.counts {
            let count = self.counts.entry(*key).or_default();
            *count = count.saturating_add(*more);
        }
        for (profile, more) in &other.noises {
            if self.noises.contains_key(profile) || (self.noises.len() as u64) < NOISES_MAX {
                self.noises.entry(*profile).or_default().merge(more);
            }
        }
    }

    /// Forgets the rarest terms until at most `terms_max` are left. Which of equally rare ones go is fixed, so that two
    /// watchers forget the same.
    pub fn prune(&mut self, terms_max: usize) {
        if self.counts.len() <= terms_max {
            return;
        }
        let mut ranked: Vec<(u32, u64)> = self.counts.iter().map(|(key, count)| (*count, *key)).collect();
        let cut = ranked.len() - terms_max;
        ranked.select_nth_unstable(cut);
        self.counts = ranked[cut..].iter().map(|(count, key)| (*key, *count)).collect();
    }

    /// The stored form: name and version, then numbers of variable length: documents, length, number of terms, and for each
    /// term in the order of its hash the distance from the one before and its count; then the number of profiles and, in
    /// the same way, each with the number of its steps that are not empty and their distances and counts. Equal counts
    /// give equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut terms: Vec<(u64, u32)> = self.counts.iter().map(|(key, count)| (*key, *count)).collect();
        terms.sort_unstable();
        let mut bytes = Vec::with_capacity(32 + terms.len() * 9);
        bytes.extend_from_slice(MAGIC);
        put(&mut bytes, self.documents);
        put(&mut bytes, self.length);
        put(&mut bytes, terms.len() as u64);
        let mut previous = 0;
        for (key, count) in terms {
            put(&mut bytes, key - previous);
            put(&mut bytes, u64::from(count));
            previous = key;
        }
        let mut noises: Vec<(&u64, &Noise)> = self.noises.iter().collect();
        noises.sort_unstable_by_key(|(profile, _)| **profile);
        put(&mut bytes, noises.len() as u64);
        let mut previous = 0;
        for (profile, noise) in noises {
            put(&mut bytes, profile - previous);
            previous = *profile;
            let steps: Vec<(usize, u32)> = noise.steps().collect();
            put(&mut bytes, steps.len() as u64);
            let mut from = 0;
            for (step, count) in steps {
                put(&mut bytes, (step - from) as u64);
                put(&mut bytes, u64::from(count));
                from = step;
            }
        }
        bytes
    }

    /// From the stored form. What does not add up is refused, never repaired: the archive can be counted again.
    pub fn decode(bytes: &[u8]) -> Result<Frequencies, Damaged> {
        let mut rest = bytes.strip_prefix(MAGIC).ok_or(Damaged("they were counted by another version of newswatch"))?;
        let documents = take(&mut rest)?;
        let length = take(&mut rest)?;
        let terms = take(&mut rest)?;
        // Two bytes are the least that a term takes, so the size is checked before memory is asked for.
        if terms > TERMS_MAX || terms > rest.len() as u64 / 2 {
            return Err(Damaged("impossible number of terms"));
        }
        let mut counts = KeyMap::with_capacity_and_hasher(terms as usize, BuildHasherDefault::default());
        let mut key = 0u64;
        for _ in 0..terms {
            let distance = take(&mut rest)?;
            key = match key.checked_add(distance) {
                Some(next) if distance > 0 => next,
                _ => return Err(Damaged("terms out of order")),
            };
            let count = u32::try_from(take(&mut rest)?).map_err(|_| Damaged("impossible count"))?;
            if count == 0 || u64::from(count) > documents {
                return Err(Damaged("impossible count"));
            }
            counts.insert(key, count);
        }
        let noises = take_noises(&mut rest)?;
        if !rest.is_empty() {
            return Err(Damaged("too long"));
        }
        Ok(Frequencies { documents, length, counts, noises })
    }

    /// How much a term says (idf): ln(1 + (N − df + ½)/(df + ½)), natural logarithm, where df/N is the greater of the
    /// shipped table's share and the own share df/(n + 50). About 0 for a term that every document has, 10 for one never seen.
    pub fn rarity(&self, key: Key) -> f64 {
        let general = match key {
            Key::Word(hash) => GENERAL.share(hash),
            // The table knows no pairs.
            Key::Pair(_) => 0.0,
        };
        let own = f64::from(self.count_of(key)) / (self.documents as f64 + OWN_PRIOR_DOCUMENTS);
        let all = GENERAL.documents.max(self.documents as f64);
        let with = all * general.max(own);
        (1.0 + (all - with + 0.5) / (with + 0.5)).ln()
    }

    /// The average length of a document in weighted words; while the archive is young, mixed with the length that is
    /// expected of it.
    pub fn average_length(&self, expected: f64) -> f64 {
        (self.length as f64 + OWN_PRIOR_DOCUMENTS * expected) / (self.documents as f64 + OWN_PRIOR_DOCUMENTS)
    }
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_noises(rest: &mut &[u8]) -> Result<KeyMap<Noise>, Damaged> {
    let profiles = take(rest)?;
    if profiles > NOISES_MAX {
        return Err(Damaged("impossible number of profiles"));
    }
    let mut noises = KeyMap::default();
    let mut profile = 0u64;
    for _ in 0..profiles {
        profile = profile.checked_add(take(rest)?).ok_or(Damaged("profiles out of order"))?;
        let mut noise = Noise::default();
        let mut step = 0u64;
        for _ in 0..take(rest)? {
            step = step.saturating_add(take(rest)?);
            let count = u32::try_from(take(rest)?).ok();
            count.filter(|count| noise.add(step, *count)).ok_or(Damaged("impossible score"))?;
        }
        noises.insert(profile, noise);
    }
    Ok(noises)
}

fn take(rest: &mut &[u8]) -> Result<u64, Damaged> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first().ok_or(Damaged("too short"))?;
        *rest = after;
        let part = u64::from(byte & 0x7f);
        if part << shift >> shift != part {
            break;
        }
        number |= part << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Damaged("a number that is too large"))
}

/// The shipped table: shares of documents by stem.
struct General {
    documents: f64,
    shares: KeyMap<f64>,
    /// Of a stem that is not in the table.
    unseen: f64,
}

impl General {
    fn share(&self, word: u64) -> f64 {
        self.shares.get(&word).copied().unwrap_or(self.unseen)
    }
}

/// `general.tsv`, made by `examples/frequency_table.rs`: first line "documents<TAB>number", then stems with their counts,
/// the most frequent first.
static GENERAL: LazyLock<General> = LazyLock::new(|| parse_table(include_str!("general.tsv")));

fn parse_table(table: &str) -> General {
    let mut lines = table.lines().filter_map(|line| {
        let (name, count) = line.split_once('\t')?;
        Some((name, count.parse::<f64>().ok()?))
    });
    let documents = lines.next().map_or(1.0, |(_, count)| count.max(1.0));
    let mut lowest = documents;
    let mut shares = KeyMap::default();
    for (stem, count) in lines {
        lowest = lowest.min(count);
        shares.insert(word_key(stem), count / documents);
    }
    // What is not in the table is rarer than anything in it.
    General { documents, shares, unseen: lowest / 2.0 / documents }
}

#[cfg(test)]
mod tests {
    use super::super::text::Tokenizer;
    use super::*;

    fn counted(texts: &[&str]) -> Frequencies {
        let (mut tokenizer, mut frequencies) = (Tokenizer::new(), Frequencies::new());
        for text in texts {
            frequencies.count(&tokenizer.read("", text));
        }
        frequencies
    }

    fn word(stem: &str) -> Key {
        Key::Word(word_key(stem))
    }

    #[test]
    fn a_term_counts_once_a_document() {
        let frequencies = counted(&["ship and ships, ship", "a ship", "oil"]);
        assert_eq!(frequencies.documents(), 3);
        assert_eq!(frequencies.count_of(word("ship")), 2);
        assert_eq!(frequencies.count_of(word("plane")), 0);
    }

    #[test]
    fn merging_is_counting_together() {
        let mut left = counted(&["oil ship", "oil"]);
        left.merge(&counted(&["oil", "steel"]));
        left.count_score(1, 0.5);
        let mut scored = Frequencies::new();
        scored.count_score(1, 0.5);
        left.merge(&scored);
        assert_eq!(left.noise(1).map(|noise| noise.steps().map(|(_, count)| count).sum()), Some(2));
        left.noises.clear();
        assert_eq!(left, counted(&["oil ship", "oil", "oil", "steel"]));
    }

    #[test]
    fn the_rarest_are_forgotten_first() {
        let mut frequencies = counted(&["oil", "oil", "steel", "steel", "tin"]);
        frequencies.prune(2);
        assert_eq!((frequencies.terms(), frequencies.count_of(word("tin"))), (2, 0));
        assert_eq!(frequencies.documents(), 5);
    }

    #[test]
    fn the_stored_form_reads_back() {
        let mut with_scores = counted(&["oil"]);
        for (profile, score) in [(7, 0.0), (7, 0.3), (7, 9.0), (u64::MAX, 0.1), (0, 0.1)] {
            with_scores.count_score(profile, score);
        }
        let stored = with_scores.encode();
        assert!((0..stored.len()).all(|cut| Frequencies::decode(&stored[..cut]).is_err()));
        for frequencies in [with_scores, Frequencies::new(), counted(&["oil ship", "oil", "북한에"])] {
            assert_eq!(Frequencies::decode(&frequencies.encode()), Ok(frequencies));
        }
    }

    #[test]
    fn damaged_forms_are_refused() {
        let good = counted(&["oil ship", "oil"]).encode();
        for cut in 0..good.len() {
            assert!(Frequencies::decode(&good[..cut]).is_err(), "cut at {cut}");
        }
        let with_tail = [&good[..], &[0]].concat();
        let huge = [&MAGIC[..], &[1, 1], &[0xff; 8], &[0x7f]].concat();
        let endless = [&MAGIC[..], &[0xff; 20]].concat();
        for bytes in [with_tail, huge, endless, b"nwf1".to_vec()] {
            assert!(Frequencies::decode(&bytes).is_err());
        }
    }

    #[test]
    fn what_is_everywhere_says_little() {
        let none = Frequencies::new();
        assert!(none.rarity(word("compani")) < none.rarity(word("xylophon")));
        assert!(none.rarity(word("qqqqq")) < none.rarity(Key::Pair(1)), "a pair never seen is rarer than any word");
        // An archive that is full of a rare word teaches that it is not rare here.
        let full = counted(&["qqqqq rain"; 200]);
        assert!(full.rarity(word("qqqqq")) < 1.0);
    }

    #[test]
    fn the_shipped_table_is_whole() {
        assert!(GENERAL.documents > 10_000.0);
        assert!(GENERAL.shares.len() >= 15_000);
        assert!(GENERAL.shares.values().all(|share| *share > 0.0 && *share <= 1.0));
    }

    #[test]
    fn average_length_moves_from_the_expected_to_the_own() {
        assert_eq!(Frequencies::new().average_length(300.0), 300.0);
        let short = counted(&["oil"; 10_000]);
        assert!(short.average_length(300.0) < 6.0);
    }
}
