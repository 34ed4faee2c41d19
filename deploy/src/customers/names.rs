//! Names of columns as they are given on the command line.
//!
//! A list is split at commas. A name with a comma may stand in quotes (`"Income, annual",age`), as in
//! a CSV file. An exact name wins over one without the blanks around it. The trainer has the same
//! rule, and tests/column_names.json holds both to it.

/// Returns the columns of `known` that a list names, and the words of the list that name none.
#[must_use]
pub fn choose(text: &str, known: &[String]) -> (Vec<String>, Vec<String>) {
    let words = split(text);
    if words.len() > 1
        && known.iter().any(|name| name == text)
        && !words.iter().all(|word| one(word, known).is_some())
    {
        return (vec![text.to_owned()], Vec::new());
    }

    let (mut found, mut unknown) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < words.len() {
        // The shortest run of words that is a name: a name may have a comma in it.
        let run = (at + 1..=words.len())
            .find_map(|end| one(&words[at..end].join(","), known).map(|name| (end, name)));
        match run {
            Some((end, name)) => {
                found.push(name.to_owned());
                at = end;
            }
            None => {
                let word = words[at].trim();
                if !word.is_empty() {
                    unknown.push(word.to_owned());
                }
                at += 1;
            }
        }
    }

    (found, unknown)
}

/// The column that a word names: exactly, or else without the blanks around both.
pub(super) fn one<'a>(word: &str, known: &'a [String]) -> Option<&'a str> {
    let exact = |word: &str| known.iter().find(|name| *name == word).map(String::as_str);
    if word.trim().is_empty() {
        return if word.is_empty() { None } else { exact(word) };
    }

    // A published table may have a blank before each name, which nobody sees.
    exact(word).or_else(|| exact(word.trim())).or_else(|| {
        let mut alike = known.iter().filter(|name| name.trim() == word.trim());
        let first = alike.next()?;
        alike.all(|name| name == first).then_some(first.as_str())
    })
}

/// The positions of the columns that a word names. More than one is a name that is there twice.
pub(super) fn positions(word: &str, known: &[String]) -> Vec<usize> {
    let exact = one(word, known).unwrap_or(word);
    let named = known.iter().enumerate().filter(|(_, name)| *name == exact);
    named.map(|(position, _)| position).collect()
}

/// The words of a list, without their quotes and with the blanks around them.
fn split(text: &str) -> Vec<String> {
    let (mut words, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (word, after) = quoted(rest).unwrap_or_else(|| {
            let (word, after) = rest.split_once(',').unwrap_or((rest, ""));
            (word.to_owned(), after)
        });
        words.push(word);
        rest = after;
    }

    words
}

/// The word in quotes at the start, and what follows its comma. Quotes count only around a whole
/// word.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.trim_start().strip_prefix('"')?;
    let mut word = String::new();
    loop {
        let (part, after) = rest.split_once('"')?;
        word.push_str(part);
        if let Some(more) = after.strip_prefix('"') {
            word.push('"');
            rest = more;
            continue;
        }

        let after = after.trim_start();
        return match after.strip_prefix(',') {
            Some(after) => Some((word, after)),
            None => after.is_empty().then_some((word, "")),
        };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::Value;

    use super::*;

    #[test]
    fn names_are_chosen_here_and_by_the_trainer_alike() {
        let cases: Value =
            serde_json::from_str(include_str!("../../../tests/column_names.json")).unwrap();
        let texts = |value: &Value| -> Vec<String> {
            serde_json::from_value(value.clone()).unwrap_or_default()
        };
        for case in cases["cases"].as_array().unwrap() {
            let chosen = choose(case["text"].as_str().unwrap(), &texts(&case["columns"]));
            assert_eq!(chosen, (texts(&case["found"]), texts(&case["unknown"])), "{case}");
        }
    }
}
