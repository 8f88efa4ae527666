//! Names of months and time zones.

/// Minutes east of Greenwich. Names that mean several zones have their commonest meaning in news.
pub(super) fn zone_minutes(word: &str) -> Option<i32> {
    Some(match word {
        "z" | "ut" | "utc" | "gmt" | "wet" => 0,
        "bst" | "cet" | "wat" | "ist" | "met" | "mez" => 60,
        "cest" | "mest" | "mesz" | "eet" | "sast" | "cat" => 120,
        "msk" | "eest" | "eat" | "trt" => 180,
        "jst" | "kst" => 540,
        "hkt" | "sgt" | "awst" | "pht" => 480,
        "ict" | "wib" => 420,
        "aest" => 600,
        "aedt" => 660,
        "nzst" => 720,
        "nzdt" => 780,
        "ast" | "edt" | "et" if word != "et" => -240,
        "est" | "cdt" => -300,
        "et" => -300,
        "cst" | "mdt" | "ct" => -360,
        "mst" | "pdt" | "mt" => -420,
        "pst" | "akdt" | "pt" => -480,
        "akst" => -540,
        "hst" => -600,
        "brt" | "art" => -180,
        _ => return None,
    })
}

/// Month names by their beginnings, longest list of languages first come: English, German, French, Spanish, Portuguese, Italian,
/// Dutch, the Nordic languages, Polish, Czech, Hungarian, Russian, Ukrainian, Greek, Turkish.
const MONTHS: [&[&str]; 12] = [
    &["jan", "jän", "gen", "ene", "sty", "led", "ian", "янв", "січ", "ιαν", "oca"],
    &["feb", "fév", "fev", "lut", "úno", "únor", "фев", "лют", "φεβ", "şub", "helmi"],
    &["mar", "mär", "mrt", "maa", "mrz", "bře", "már", "мар", "бер", "μαρ", "μάρ"],
    &["apr", "avr", "abr", "kwi", "dub", "ápr", "апр", "кві", "απρ", "nis"],
    &["may", "mai", "mei", "mag", "maj", "máj", "kvě", "мая", "май", "тра", "μάι", "μαΐ", "μαι"],
    &["jun", "giu", "juin", "cze", "červn", "jún", "июн", "чер", "ιουν", "ιούν", "haz"],
    &["jul", "lug", "juil", "lip", "červenc", "júl", "июл", "лип", "ιουλ", "ιούλ", "tem"],
    &["aug", "aoû", "aou", "ago", "sie", "srp", "авг", "сер", "αυγ", "αύγ", "ağu"],
    &["sep", "set", "wrz", "zář", "szept", "сен", "вер", "σεπ", "eyl"],
    &["oct", "okt", "ott", "out", "paź", "říj", "окт", "жов", "οκτ", "eki"],
    &["nov", "lis", "ноя", "νοε", "νοέ", "kas"],
    &["dec", "dez", "dic", "déc", "gru", "pro", "дек", "гру", "δεκ", "ara"],
];

/// The number of a month by its name in one of the languages of [`MONTHS`].
pub(super) fn month(word: &str) -> Option<u32> {
    // No month name is longer, and no month is called "marching".
    if word.chars().count() > 12 {
        return None;
    }
    match word {
        "listopada" | "listopad" => return Some(11),
        "prosince" | "prosinec" => return Some(12),
        "mars" | "marts" | "march" => return Some(3),
        _ => {}
    }
    // The longest beginning wins: "juin" is no "jun", "červenec" no "červen".
    MONTHS
        .iter()
        .zip(1..)
        .flat_map(|(names, number)| names.iter().map(move |name| (*name, number)))
        .filter(|(name, _)| word.starts_with(name))
        .max_by_key(|(name, _)| name.len())
        .map(|(_, number)| number)
}
