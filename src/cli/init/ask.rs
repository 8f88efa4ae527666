//! What is still needed: asked for on a terminal, named in a script.

use std::io::{BufRead, Write};

use anyhow::bail;

use super::super::Usage;
use super::{Arguments, check_profiles, shipped_names};

/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// In a script: everything that is missing is named at once, and nobody is asked.
pub(super) fn or_refuse(given: &Arguments) -> anyhow::Result<Arguments> {
    let mut missing = Vec::new();
    if given.to.is_none() {
        missing.push("--to ADDRESS, who gets the digest".to_string());
    }
    if given.seed.is_empty() && given.profiles.is_empty() {
        let names = shipped_names().collect::<Vec<_>>().join(",");
        missing.push(format!("--seed FILE|URL, an article to learn from, or --profiles {names}"));
    }
    if given.source.is_empty() && !given.shipped_sources {
        missing.push("--source URL, a feed or page to watch, or --shipped-sources".to_string());
    }
    if !missing.is_empty() {
        let missing = missing.join("\n  ");
        return Err(Usage(format!("this is missing (on a terminal it would be asked for):\n  {missing}")).into());
    }
    check_profiles(&given.profiles)?;
    Ok(given.clone())
}

/// On a terminal: asks for what is missing. An empty answer is the default that the question names.
pub(super) fn complete(given: &Arguments, input: &mut impl BufRead, out: &mut impl Write) -> anyhow::Result<Arguments> {
    check_profiles(&given.profiles)?;
    let mut wishes = given.clone();
    let mut ask = |question: &str| -> anyhow::Result<String> {
        write!(out, "{question}: ")?;
        out.flush()?;
        let mut answer = String::new();
        let read = std::io::Read::take(&mut *input, ANSWER_BYTES_MAX).read_line(&mut answer)?;
        if read == 0 {
            bail!("the answers ended; nothing was written");
        }
        Ok(answer.trim().to_string())
    };
    if wishes.to.is_none() {
        let answer = ask("Who gets the digest, a mail address [nobody: hits go to the log]")?;
        wishes.to = Some(answer).filter(|answer| !answer.is_empty());
    }
    if wishes.to.is_some() && wishes.smtp.is_none() {
        let answer = ask("The server that takes your mail, HOST or HOST:PORT [none: hits go to the log]")?;
        wishes.smtp = Some(answer).filter(|answer| !answer.is_empty());
        if wishes.smtp.is_some() && wishes.username.is_none() {
            let account = ask("Your account there [none]")?;
            if !account.is_empty() {
                wishes.username = Some(account);
                let file = ask("File that holds its password")?;
                if file.is_empty() {
                    bail!("an account needs a password: put it into a file that only you can read, and name that");
                }
                wishes.password_file = Some(file.into());
            }
        }
    }
    if wishes.seed.is_empty() && wishes.profiles.is_empty() {
        let names = shipped_names().collect::<Vec<_>>().join(" ");
        let question =
            format!("Articles to learn from, files or addresses with spaces between [the shipped profiles: {names}]");
        wishes.seed = ask(&question)?.split_whitespace().map(Into::into).collect();
        if wishes.seed.is_empty() {
            wishes.profiles = shipped_names().map(str::to_string).collect();
        }
    }
    if wishes.source.is_empty() && !wishes.shipped_sources {
        let answer = ask("Feeds or pages to watch, addresses with spaces between [the shipped catalogue]")?;
        wishes.source = answer.split_whitespace().map(str::to_string).collect();
        wishes.shipped_sources = wishes.source.is_empty();
    }
    Ok(wishes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(given: &Arguments, answers: &str) -> (anyhow::Result<Arguments>, String) {
        let mut out = Vec::new();
        let wishes = complete(given, &mut answers.as_bytes(), &mut out);
        (wishes, String::from_utf8(out).unwrap())
    }

    #[test]
    fn only_what_is_missing_is_asked_and_an_empty_answer_is_the_default() {
        let (wishes, asked) = answered(&Arguments::default(), "\n\n\n");
        let wishes = wishes.unwrap();
        assert_eq!((wishes.to, wishes.profiles.len(), wishes.shipped_sources), (None, 3, true));
        assert_eq!(asked.matches("]: ").count(), 3, "{asked}");

        let answers = "me@example.org\nsmtp.example.org\nme\n/pw\na.md https://b.example/c\nhttps://d.example/\n";
        let wishes = answered(&Arguments::default(), answers).0.unwrap();
        assert_eq!(wishes.smtp.as_deref(), Some("smtp.example.org"));
        assert_eq!((wishes.seed.len(), wishes.source.len(), wishes.shipped_sources), (2, 1, false));
        assert_eq!(wishes.password_file.as_deref(), Some(std::path::Path::new("/pw")));

        let given = Arguments {
            to: Some("me@example.org".into()),
            smtp: Some("localhost".into()),
            username: Some("me".into()),
            profiles: vec!["apg".into()],
            source: vec!["https://d.example/".into()],
            ..Arguments::default()
        };
        assert_eq!(answered(&given, "").1, "");
        assert!(answered(&Arguments::default(), "me@example.org\n").0.is_err(), "the answers ended");
    }
}
