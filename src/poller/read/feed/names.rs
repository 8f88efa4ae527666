//! What an element means, by its namespace and name. One table for all dialects: publishers mix them freely.

/// Namespaces by what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// RSS of all versions, and elements without a namespace.
    Main,
    Atom,
    DublinCore,
    Terms,
    Content,
    Media,
    Itunes,
    Rdf,
    Syndication,
    Xhtml,
    Other,
}

/// The family of a namespace address, whatever its version, case and last character.
pub(super) fn family_of_address(address: &str) -> Family {
    const ADDRESSES: &[(&str, Family)] = &[
        // Found with "1.0/modules", "1.0.modules" and a "www." before it.
        ("modules/content", Family::Content),
        ("modules/syndication", Family::Syndication),
        ("rss/1.0/modules/", Family::Other),
        ("rss/1.0.modules/", Family::Other),
        ("purl.org/dc/elements", Family::DublinCore),
        ("purl.org/dc/terms", Family::Terms),
        ("purl.org/atom/", Family::Atom),
        ("purl.org/pie/", Family::Atom),
        ("w3.org/2005/atom", Family::Atom),
        ("search.yahoo.com/mrss", Family::Media),
        ("rssboard.org/media-rss", Family::Media),
        ("itunes.com/", Family::Itunes),
        ("rdf-syntax-ns", Family::Rdf),
        ("1999/xhtml", Family::Xhtml),
        ("purl.org/rss/", Family::Main),
        ("purl.org/net/rss", Family::Main),
        ("netscape.com/rdf", Family::Main),
        ("netscape.com/publish", Family::Main),
        ("userland.com/rss", Family::Main),
        ("harvard.edu/tech/rss", Family::Main),
    ];
    let address = address.trim().to_ascii_lowercase();
    if address.is_empty() {
        return Family::Main;
    }
    ADDRESSES.iter().find(|(part, _)| address.contains(part)).map_or(Family::Other, |(_, family)| *family)
}

/// The family of a prefix that nobody declared.
pub(super) fn family_of_prefix(prefix: &str) -> Family {
    match prefix.to_ascii_lowercase().as_str() {
        "" | "rss" => Family::Main,
        "atom" | "atom10" | "atom03" | "a10" | "a" => Family::Atom,
        "dc" => Family::DublinCore,
        "dcterms" | "dct" => Family::Terms,
        "content" => Family::Content,
        "media" | "mrss" => Family::Media,
        "itunes" | "itms" => Family::Itunes,
        "rdf" => Family::Rdf,
        "sy" => Family::Syndication,
        "xhtml" | "html" => Family::Xhtml,
        _ => Family::Other,
    }
}

/// What an element holds. The number is its rank: of several candidates the lowest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Title(u8),
    /// RSS: the text is the address. Atom: the attributes say it.
    Link(u8),
    Guid(u8),
    Summary(u8),
    Content(u8),
    Published(u8),
    Updated(u8),
    Author,
    Category,
    /// Categories separated by commas.
    Keywords,
    Enclosure,
    Language(u8),
    Ttl,
    /// Where the feed has moved to.
    NewAddress,
    Period,
    Frequency,
    /// An hour or a day within `skipHours` or `skipDays`.
    SkipHour,
    SkipDay,
    /// Where an aggregator has it from.
    Source,
    /// Titles and links in there are not the feed's.
    Skip,
}

/// The field of an element; `None` for elements that say nothing to us: their children are looked at all the same.
pub(super) fn field(family: Family, local: &str) -> Option<Field> {
    use Family::{Atom, Content, DublinCore, Itunes, Main, Media, Syndication, Terms, Xhtml};
    Some(match (family, local) {
        (Main, "title") => Field::Title(0),
        (Atom, "title") => Field::Title(1),
        (DublinCore | Terms, "title") => Field::Title(2),
        (Media, "title") => Field::Title(5),
        (Itunes, "title") => Field::Title(6),
        (Main, "link") => Field::Link(0),
        (Atom, "link") => Field::Link(1),
        (Main | Atom, "url") => Field::Link(4),
        (Main, "guid") => Field::Guid(0),
        (Main | Atom, "id") => Field::Guid(1),
        (DublinCore | Terms, "identifier") => Field::Guid(5),
        (Main, "description") => Field::Summary(0),
        (Main | Atom, "summary") => Field::Summary(1),
        (Main | Atom, "subtitle" | "tagline") => Field::Summary(1),
        (DublinCore | Terms, "description") => Field::Summary(2),
        (DublinCore | Terms, "abstract") | (Main, "abstract") => Field::Summary(3),
        (Itunes, "summary") => Field::Summary(4),
        (Itunes, "subtitle") => Field::Summary(5),
        (Media, "description") => Field::Summary(6),
        (Content, "encoded") => Field::Content(0),
        (Main | Atom, "content") => Field::Content(1),
        (Main | Xhtml, "body") => Field::Content(2),
        (Main, "fullitem") => Field::Content(3),
        (Xhtml, "div") => Field::Content(4),
        (Main, "pubdate") => Field::Published(0),
        (Main | Atom, "published") => Field::Published(1),
        (Main | Atom | Terms, "issued") => Field::Published(2),
        (DublinCore | Main | Terms, "date") => Field::Published(3),
        (Main | Atom | Terms, "created") => Field::Published(4),
        (Main | Atom, "updated") => Field::Updated(0),
        (Main | Atom | Terms, "modified") => Field::Updated(1),
        (Main | Atom | DublinCore | Itunes, "author") | (DublinCore | Terms, "creator") => Field::Author,
        (Main | Atom | Media, "category") | (DublinCore | Terms, "subject") | (Itunes, "category") => Field::Category,
        (Media | Itunes, "keywords") => Field::Keywords,
        (Main, "enclosure") | (Media, "content") => Field::Enclosure,
        (Main, "language") => Field::Language(0),
        (DublinCore | Terms, "language") => Field::Language(1),
        (Main, "ttl") => Field::Ttl,
        (Itunes, "new-feed-url") => Field::NewAddress,
        (Main, "hour") => Field::SkipHour,
        (Main, "day") => Field::SkipDay,
        (Syndication, "updateperiod") => Field::Period,
        (Syndication, "updatefrequency") => Field::Frequency,
        (Main | Atom, "source") => Field::Source,
        (Main, "image" | "textinput" | "generator" | "cloud") | (Atom, "generator") | (Itunes, "owner") => Field::Skip,
        _ => return None,
    })
}

/// Elements that hold entries or are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Feed,
    Entry,
}

/// What kind of frame an element is, if it is one.
pub(super) fn frame(family: Family, local: &str) -> Option<Frame> {
    match (family, local) {
        (Family::Main | Family::Atom | Family::Rdf | Family::Other, "rss" | "feed" | "rdf") => Some(Frame::Feed),
        (Family::Main, "channel") => Some(Frame::Feed),
        (Family::Main | Family::Atom, "item" | "entry") => Some(Frame::Entry),
        _ => None,
    }
}
