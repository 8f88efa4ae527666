//! profiles.d/*.toml and aliases.d/*.toml in words.

use super::{Key, Table, key};

const CONCEPT_NAMES: Key = key("names", "[]", "whole words in any case; \"*\" at the end lets the last word go on");
const EXPRESSIONS: Key = key("expressions", "[]", "regular expressions that run in linear time");

/// The tables of a profile.
pub(super) const PROFILE: &[Table] = &[
    Table {
        path: "",
        kind: "",
        text: "A profile. Each list may be written as `phrases = [{ ... }]` or table by table as `[[phrase]]`.",
        keys: &[
            key("name", "", "short and unique"),
            key("title", "\"\"", "what it is about, for people"),
            key("language", "\"en\"", "the language of its terms; they are found in texts of the others, too"),
            key("version", "1", "raised by whoever changes the profile; stored with each hit"),
            key("shadow_of", "(none)", "on trial beside this profile: scored and stored, told to nobody"),
            key("level", "\"normal\"", "`strict` asks for 1.25 times the threshold, `loose` for 0.8 times"),
            key(
                "threshold",
                "(1, or by the number of seeds)",
                "the score that makes a hit; 1 is that of an article like the seeds",
            ),
            key(
                "follow_noise",
                "(only without a threshold of your own)",
                "more is asked for where the sources are noisy",
            ),
            key("average_length", "500.0", "the seeds' average length in weighted words"),
            key("seeds", "(none)", "what it was learned from"),
            key("seed", "(none)", "the same, table by table"),
            key("terms", "(none)", "learned words and pairs of words"),
            key("term", "(none)", "the same, table by table"),
            key("phrases", "(none)", "names that count on their own"),
            key("phrase", "(none)", "the same, table by table"),
            key("concepts", "(none)", "things under all their names"),
            key("concept", "(none)", "the same, table by table"),
            key("conditions", "(none)", "concepts that say more together than alone, or must be there"),
            key("condition", "(none)", "the same, table by table"),
            key("look_alikes", "(none)", "contexts that speak against a hit"),
            key("look_alike", "(none)", "the same, table by table"),
            key("settings", "(none)", "thresholds that differ for a source or a language"),
            key("setting", "(none)", "the same, table by table"),
        ],
        example: r#"name = "observer-seat"
threshold = 0.3
seeds = [{ file = "apg.md", title = "A seat stays empty" }]
terms = [{ text = "plenary", weight = 4.0, rarity = 6.5, strength = 1.2, seeds = 1 }]
concepts = [
  { name = "observer", weight = 0.1, names = ["observer status", "observer seat*"], weak = [
    { names = ["the seat"], with = ["north"], within = 20 },
    { names = ["the chair"], with = ["north"], within = "sentence" },
  ] },
  { name = "north", weight = 0.1, aliases = false, names = ["North Korea"], expressions = ['\bDPR ?K\b'] },
]

[[phrase]]
text = "observer seat"
weight = 0.2

[[condition]]
name = "North Korea and an observer's seat"
all = ["north", "observer"]
within = 30
adds = 0.2

[[condition]]
name = "North Korea in the title"
all = ["north"]
within = "title"
adds = 0.1

[[look_alike]]
name = "the Dutch pension manager"
names = ["ABP", "pension*"]
unless = ["north"]
subtracts = 0.3
reason = "APG manages Dutch pensions, too"

[[setting]]
language = "ko"
threshold_factor = 0.9
"#,
    },
    Table {
        path: "seed",
        kind: "",
        text: "An article that the profile was learned from.",
        keys: &[key("file", "", "its file or address"), key("title", "\"\"", "its title")],
        example: "",
    },
    Table {
        path: "term",
        kind: "",
        text: "A word or a pair of words that speaks for the topic; all its forms count.",
        keys: &[
            key("text", "", "one or two words"),
            key("weight", "(required)", "its part of the score of an article like the seeds, in percent"),
            key("rarity", "(as it is now)", "how seldom it was when the weight was set: 0 in every text, 10 in none"),
            key("strength", "(that of a word that is used)", "how strongly the seeds use it"),
            key("seeds", "0", "how many seeds hold it"),
        ],
        example: "",
    },
    Table {
        path: "phrase",
        kind: "",
        text: "A name that counts on its own.",
        keys: &[key("text", "", "what must stand there"), key("weight", "(required)", "what it adds to the score")],
        example: "",
    },
    Table {
        path: "concept",
        kind: "",
        text: "A thing under all its names, counted once in every language.",
        keys: &[
            key("name", "", "what rules and reasons call it; with that of an alias pack its names are there, too"),
            key("title", "(none)", "for the reader of the file"),
            key("weight", "0.0", "what it adds to the score"),
            CONCEPT_NAMES,
            EXPRESSIONS,
            key("weak", "(none)", "names that say nothing alone"),
            key("includes", "[]", "concepts that are cases of this one"),
            key("aliases", "true", "take the names of the alias packs"),
            key("without", "[]", "but not these"),
        ],
        example: "",
    },
    Table {
        path: "concept.weak",
        kind: "",
        text: "Names that count only beside a concept.",
        keys: &[
            CONCEPT_NAMES,
            EXPRESSIONS,
            key("with", "(required)", "concepts of which one must stand beside them"),
            key("within", "\"item\"", "how near: so many words, or within these"),
        ],
        example: "",
    },
    Table {
        path: "condition",
        kind: "",
        text: "Concepts that say more together than alone, or that must be there.",
        keys: &[
            key("name", "", "shown with each hit that it counts for"),
            key("all", "(none)", "concepts that must all be there"),
            key("any", "(none)", "concepts of which one must be there"),
            key("none", "[]", "concepts that must not be there"),
            key("within", "\"item\"", "how near to one another: so many words, or within these"),
            key("adds", "(0 with `required`)", "what it adds to the score"),
            key("required", "false", "nothing is a hit without it"),
        ],
        example: "",
    },
    Table {
        path: "look_alike",
        kind: "",
        text: "A context that speaks against a hit.",
        keys: &[
            key("name", "", "shown wherever it counts"),
            key("reason", "", "why"),
            key("concepts", "[]", "concepts that show it"),
            CONCEPT_NAMES,
            EXPRESSIONS,
            key("unless", "[]", "it does not count where one of these concepts is"),
            key("subtracts", "0.5", "what it takes from the score"),
            key("author", "\"\"", "who wrote it"),
            key("date", "\"\"", "when"),
        ],
        example: "",
    },
    Table {
        path: "setting",
        kind: "",
        text: "A threshold that differs for a source, a language, or both.",
        keys: &[
            key("source", "(all)", "name of the source"),
            key("language", "(all)", "language tag"),
            key("threshold_factor", "(required)", "1.25 asks for more, 0.8 for less"),
            key("reason", "(none)", "for the reader of the file"),
        ],
        example: "",
    },
];

/// The tables of an alias pack.
pub(super) const ALIASES: &[Table] = &[
    Table {
        path: "",
        kind: "",
        text: "Names that profiles share.",
        keys: &[key("concept", "", "things under all their names")],
        example: "[[concept]]\nname = \"north-korea\"\ntitle = \"North Korea\"\nnames = [\"North Korea\", \"북한\", \"КНДР\"]\nexpressions = ['\\bD\\.P\\.R\\.K\\b']\n[[concept.weak]]\nnames = [\"the North\"]\nwith = [\"north-korea\"]\nwithin = \"sentence\"\n[[concept.weak]]\nnames = [\"Northerners\"]\nwith = [\"north-korea\"]\nwithin = 20\n",
    },
    Table {
        path: "concept",
        kind: "",
        text: "A thing under all its names.",
        keys: &[
            key("name", "", "what profiles call it"),
            key("title", "(none)", "for the reader of the file"),
            CONCEPT_NAMES,
            EXPRESSIONS,
            key("weak", "(none)", "names that say nothing alone"),
            key("includes", "[]", "concepts that are cases of this one"),
        ],
        example: "",
    },
    Table {
        path: "concept.weak",
        kind: "",
        text: "Names that count only beside a concept.",
        keys: &[
            CONCEPT_NAMES,
            EXPRESSIONS,
            key("with", "(required)", "concepts of which one must stand beside them"),
            key("within", "\"item\"", "how near: so many words, or within these"),
        ],
        example: "",
    },
];
