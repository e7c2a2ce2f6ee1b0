//! The grammar of label selectors, with apimachinery's words for what does not fit it.

use super::Rule;
use crate::apiserver::object::{LABEL_KEY, LABEL_VALUE, is_label_value, is_qualified_name};

const SPECIAL: &str = "=!(),><";

/// The pieces of a selector; an empty one is its end.
struct Tokens<'a> {
    list: Vec<&'a str>,
    at: usize,
}

impl<'a> Tokens<'a> {
    fn of(text: &'a str) -> Self {
        let mut list = Vec::new();
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = match SPECIAL.contains(first) {
                true if rest.starts_with("==") || rest.starts_with("!=") => 2,
                true => first.len_utf8(),
                false => rest
                    .find(|c: char| SPECIAL.contains(c) || c.is_whitespace())
                    .unwrap_or(rest.len()),
            };
            let (token, left) = rest.split_at(length);
            list.push(token);
            rest = left.trim_start();
        }
        Self { list, at: 0 }
    }

    fn peek(&self) -> &'a str {
        self.list.get(self.at).copied().unwrap_or_default()
    }

    fn take(&mut self) -> &'a str {
        let token = self.peek();
        self.at += 1;
        token
    }
}

fn is_word(token: &str) -> bool {
    token.chars().next().is_some_and(|c| !SPECIAL.contains(c))
}

/// Reads a whole selector.
pub(super) fn requirements(text: &str) -> Result<Vec<(String, Rule)>, String> {
    let mut tokens = Tokens::of(text);
    let mut rules = Vec::new();
    loop {
        match tokens.peek() {
            "" => return Ok(rules),
            token if token == "!" || is_word(token) => {
                let rule = requirement(&mut tokens);
                rules.push(rule.map_err(|why| format!("unable to parse requirement: {why}"))?);
            }
            other => {
                return Err(format!(
                    "found '{other}', expected: !, identifier, or 'end of string'"
                ));
            }
        }
        match tokens.take() {
            "" => return Ok(rules),
            "," => {
                let next = tokens.peek();
                if next != "!" && !is_word(next) {
                    return Err(format!("found '{next}', expected: identifier after ','"));
                }
            }
            other => return Err(format!("found '{other}', expected: ',' or 'end of string'")),
        }
    }
}

fn requirement(tokens: &mut Tokens<'_>) -> Result<(String, Rule), String> {
    let absent = tokens.peek() == "!";
    if absent {
        tokens.take();
    }
    let key = tokens.take();
    if !is_word(key) {
        return Err(format!("found '{key}', expected: identifier"));
    }
    if !is_qualified_name(key) {
        return Err(format!("<nil>: Invalid value: {key:?}: {LABEL_KEY}"));
    }
    let key = key.to_owned();
    if absent {
        return Ok((key, Rule::Absent));
    }
    if matches!(tokens.peek(), "" | ",") {
        return Ok((key, Rule::Exists));
    }
    let operator = tokens.take();
    let values = match operator {
        "in" | "notin" => listed(tokens)?,
        "=" | "==" | "!=" | ">" | "<" => vec![exact(tokens)?],
        other => {
            return Err(format!(
                "found '{other}', expected: in, notin, =, ==, !=, gt, lt"
            ));
        }
    };
    if matches!(operator, ">" | "<") {
        let value = values.first().map(String::as_str).unwrap_or_default();
        let number = value.parse().map_err(|_| {
            format!(
                "values[0]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer"
            )
        })?;
        return Ok(match operator {
            ">" => (key, Rule::Greater(number)),
            _ => (key, Rule::Less(number)),
        });
    }
    let mut numbered = values.iter().enumerate();
    if let Some((at, value)) = numbered.find(|(_, value)| !is_label_value(value)) {
        return Err(format!(
            "values[{at}][{key}]: Invalid value: {value:?}: {LABEL_VALUE}"
        ));
    }
    Ok(match operator {
        "in" | "=" | "==" => (key, Rule::In(values)),
        _ => (key, Rule::NotIn(values)),
    })
}

/// A value that may be left out.
fn exact(tokens: &mut Tokens<'_>) -> Result<String, String> {
    if matches!(tokens.peek(), "" | ",") {
        return Ok(String::new());
    }
    match tokens.take() {
        word if is_word(word) => Ok(word.to_owned()),
        other => Err(format!("found '{other}', expected: identifier")),
    }
}

/// Values in parentheses; an empty place is an empty value.
fn listed(tokens: &mut Tokens<'_>) -> Result<Vec<String>, String> {
    let open = tokens.take();
    if open != "(" {
        return Err(format!("found '{open}' expected: '('"));
    }
    let mut values = Vec::new();
    let mut wants = true;
    loop {
        match tokens.take() {
            ")" => {
                if wants {
                    values.push(String::new());
                }
                return Ok(values);
            }
            "," => {
                if wants {
                    values.push(String::new());
                }
                wants = true;
            }
            word if wants && is_word(word) => {
                values.push(word.to_owned());
                wants = false;
            }
            other if wants => {
                return Err(format!("found '{other}', expected: ',', ')' or identifier"));
            }
            other => return Err(format!("found '{other}', expected: ',' or ')'")),
        }
    }
}
