//! Reads one TOML file into a type, finding everything that is wrong in one pass.
//!
//! serde alone stops at the first mistake and knows no line. So each key is tried on its own against the type, and the parser's
//! spans say where it stands.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::errors::{ConfigErrors, Finding, Origin, nearest};
use super::schema::Schema;
use super::secrets::{self, Environment};

/// What is special about one kind of file.
pub(super) struct Form {
    /// `ZHENBEI_` where variables override keys; nothing where they do not.
    pub(super) overlay: Option<&'static str>,
    /// The file we ship: shows how each key is written.
    pub(super) sample: &'static str,
    /// Tables that will come, with what to say until then.
    pub(super) later: &'static [&'static str],
}

/// Collects findings by path (`http.listen`, `mqtt.0.url`) and knows where each path was written.
pub(super) struct Report {
    origins: HashMap<String, Origin>,
    /// Paths whose value could not be read: what the checks say of the default in its place is not news.
    broken: HashSet<String>,
    pub(super) errors: Vec<Finding>,
    pub(super) warnings: Vec<Finding>,
}

impl Report {
    pub(super) fn error(&mut self, path: &str, message: impl Into<String>) {
        if self.broken.contains(path) {
            return;
        }
        let finding = self.finding(path, message.into());
        self.errors.push(finding);
    }

    pub(super) fn warn(&mut self, path: &str, message: impl Into<String>) {
        let finding = self.finding(path, message.into());
        self.warnings.push(finding);
    }

    /// Something missing stands where its table begins.
    fn finding(&self, path: &str, message: String) -> Finding {
        let mut at = path;
        let origin = loop {
            if let Some(origin) = self.origins.get(at) {
                break origin.clone();
            }
            match at.rsplit_once('.') {
                Some((table, _)) => at = table,
                None => break Origin::File,
            }
        };
        Finding {
            origin,
            key: label(path),
            message,
        }
    }

    pub(super) fn is_written(&self, path: &str) -> bool {
        self.origins.contains_key(path)
    }
}

/// `http.listen` → `[http] listen`; `cameras.2.main` → `[[cameras]] 3 main` (people count from one);
/// `archive.volumes.0.dir` → `[[archive.volumes]] 1 dir`.
fn label(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').collect();
    let number = |part: &&str| part.parse::<usize>().is_ok();
    // The item of a plain list (`mqtt.0.topics.1`) is not a table.
    let tables = parts.iter().position(number);
    let (head, rest) = parts.split_at(tables.unwrap_or(1).min(parts.len()));
    let name = head.join(".");
    let head = if tables.is_some() {
        format!("[[{name}]]")
    } else {
        format!("[{name}]")
    };
    let mut out = head;
    let mut name_before = false;
    for part in rest {
        // A table in a table: `[[cameras]] 1 policies.tls`.
        out.push(if name_before && !number(part) {
            '.'
        } else {
            ' '
        });
        name_before = !number(part);
        match part.parse::<usize>() {
            Ok(index) => out.push_str(&(index + 1).to_string()),
            Err(_) => out.push_str(part),
        }
    }
    out
}

pub(super) fn read<T: DeserializeOwned>(
    file: &Path,
    text: &str,
    env: &Environment,
    form: &Form,
) -> Result<(T, Report), ConfigErrors> {
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let line = |at: usize| 1 + ends.partition_point(|end| *end < at);
    let (spans, syntax) = DeTable::parse_recoverable(text);
    if !syntax.is_empty() {
        let items = syntax.iter().map(|e| Finding {
            origin: e
                .span()
                .map_or(Origin::File, |s| Origin::Line(line(s.start))),
            key: String::new(),
            message: format!(
                "not TOML: {}",
                e.message().lines().collect::<Vec<_>>().join(", ")
            ),
        });
        return Err(ConfigErrors::new(file, items.collect()));
    }
    let mut values: Table = toml::from_str(text).map_err(|e| {
        let mut error = ConfigErrors::whole_file(file, e.message());
        if let (Some(span), Some(item)) = (e.span(), error.items.first_mut()) {
            item.origin = Origin::Line(line(span.start));
        }
        error
    })?;

    let mut report = Report {
        origins: HashMap::new(),
        broken: HashSet::new(),
        errors: Vec::new(),
        warnings: Vec::new(),
    };
    note_table(spans.get_ref(), "", &line, &mut report.origins);
    let schema = Schema::of::<T>();
    if let Some(prefix) = form.overlay {
        overlay(&mut values, &schema, env, prefix, &mut report);
    }
    let mut reader = Reader {
        report,
        env,
        base: file.parent().unwrap_or(Path::new("")),
        form,
        expanded: HashSet::new(),
        try_alone: &|value| T::deserialize(value).err().map(|e| e.message().to_owned()),
    };
    reader.table("", &mut values, &schema);
    // What could be read is read in any case, so that the caller's checks speak in the same go.
    match T::deserialize(Value::Table(values)) {
        Ok(config) => Ok((config, reader.report)),
        Err(_) if !reader.report.errors.is_empty() => {
            Err(ConfigErrors::new(file, reader.report.errors))
        }
        Err(e) => Err(ConfigErrors::whole_file(file, e.message())),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn note_table(
    table: &DeTable<'_>,
    path: &str,
    line: &dyn Fn(usize) -> usize,
    origins: &mut HashMap<String, Origin>,
) {
    for (key, value) in table {
        let path = join(path, key.get_ref());
        origins.insert(path.clone(), Origin::Line(line(key.span().start)));
        note_value(value, &path, line, origins);
    }
}

fn note_value(
    value: &Spanned<DeValue<'_>>,
    path: &str,
    line: &dyn Fn(usize) -> usize,
    origins: &mut HashMap<String, Origin>,
) {
    if let Some(table) = value.get_ref().as_table() {
        note_table(table, path, line, origins);
    }
    if let Some(items) = value.get_ref().as_array() {
        for (index, item) in items.iter().enumerate() {
            let path = join(path, &index.to_string());
            origins.insert(path.clone(), Origin::Line(line(item.span().start)));
            note_value(item, &path, line, origins);
        }
    }
}

/// `ZHENBEI_HTTP__LISTEN=…` stands for `[http] listen`, `ZHENBEI_MQTT=[{url = "…"}]` for the whole list.
fn overlay(
    values: &mut Table,
    schema: &Schema,
    env: &Environment,
    prefix: &str,
    report: &mut Report,
) {
    for (name, text) in env.iter() {
        let Some(rest) = name.strip_prefix(prefix).map(str::to_lowercase) else {
            continue;
        };
        let (section, key) = match rest.split_once("__") {
            Some((section, key)) => (section.to_owned(), Some(key.to_owned())),
            None if schema.get(&rest).is_some_and(Schema::is_list_of_tables) => (rest, None),
            // Other programs of ours may have their variables too; two underscores mark a key.
            None => continue,
        };
        let path = key.as_ref().map_or(section.clone(), |k| join(&section, k));
        report
            .origins
            .insert(path.clone(), Origin::Env(name.clone()));
        let kind = schema.get(&section);
        let kind = match (&key, kind) {
            (Some(_), Some(list)) if list.is_list_of_tables() => {
                report.error(
                    &path,
                    format!(
                        "a list of tables is set as a whole: {prefix}{}='[{{…}}]'",
                        section.to_uppercase()
                    ),
                );
                continue;
            }
            (Some(key), kind) => kind.and_then(|s| s.get(key)),
            (None, kind) => kind,
        };
        let Some(kind) = kind else {
            let all: Vec<String> = schema
                .keys()
                .iter()
                .flat_map(|(s, of)| of.keys().iter().map(move |(k, _)| format!("{s}__{k}")))
                .collect();
            let meant = nearest(&path.replace('.', "__"), all.iter().map(String::as_str));
            let hint = meant.map_or_else(
                || "see docs/configuration.md".to_owned(),
                |m| format!("did you mean {prefix}{}?", m.to_uppercase()),
            );
            report.error(&path, format!("there is no such key; {hint}"));
            continue;
        };
        let value = match kind {
            Schema::Text | Schema::Choice(_) => Value::String(text.clone()),
            Schema::Unknown
            | Schema::Whole
            | Schema::Number
            | Schema::Flag
            | Schema::List(_)
            | Schema::Table(_) => match toml::from_str::<Table>(&format!("v = {text}")) {
                Ok(mut t) => match t.remove("v") {
                    Some(v) => v,
                    None => continue,
                },
                Err(_) => {
                    report.error(&path, format!("takes {kind}, written as in the file"));
                    continue;
                }
            },
        };
        match key {
            None => {
                values.insert(section, value);
            }
            Some(key) => {
                let table = values
                    .entry(section)
                    .or_insert_with(|| Value::Table(Table::new()));
                if let Some(table) = table.as_table_mut() {
                    table.insert(key, value);
                }
            }
        }
    }
}

struct Reader<'a> {
    report: Report,
    env: &'a Environment,
    base: &'a Path,
    form: &'a Form,
    /// Paths whose value was put together from secrets: never repeat those.
    expanded: HashSet<String>,
    try_alone: &'a dyn Fn(Value) -> Option<String>,
}

impl Reader<'_> {
    /// Takes out what cannot be read, after telling why.
    fn table(&mut self, path: &str, table: &mut Table, schema: &Schema) {
        table.retain(|key, value| {
            let at = join(path, key);
            let before = self.report.errors.len();
            match schema.get(key) {
                Some(of) => self.value(&at, value, of),
                None => self.unknown(&at, key, schema),
            }
            // A table or a list of tables has been mended from the inside.
            let mended = schema.get(key).is_some_and(|of| {
                let all_tables = |a: &Vec<Value>| a.iter().all(Value::is_table);
                (matches!(of, Schema::Table(_)) && value.is_table())
                    || (of.is_list_of_tables() && value.as_array().is_some_and(all_tables))
            });
            let good = mended || self.report.errors.len() == before;
            if !good {
                self.report.broken.insert(at);
            }
            good
        });
    }

    fn unknown(&mut self, at: &str, key: &str, schema: &Schema) {
        if !at.contains('.') && self.form.later.contains(&key) {
            let message = "is not supported yet by this version: take it out of the file";
            return self.report.error(at, message);
        }
        let known = || schema.keys().iter().map(|(k, _)| *k);
        let hint = match nearest(key, known()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("known are: {}", known().collect::<Vec<_>>().join(", ")),
        };
        self.report
            .error(at, format!("there is no such key; {hint}"));
    }

    fn value(&mut self, at: &str, value: &mut Value, schema: &Schema) {
        self.expand(at, value);
        match (schema, &mut *value) {
            (Schema::Table(_), Value::Table(table)) => self.table(at, table, schema),
            (Schema::List(of), Value::Array(items)) if matches!(**of, Schema::Table(_)) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.value(&join(at, &index.to_string()), item, of);
                }
            }
            (Schema::Unknown, _)
            | (Schema::Text | Schema::Choice(_), Value::String(_))
            | (Schema::Whole, Value::Integer(0..))
            | (Schema::Number, Value::Integer(_) | Value::Float(_))
            | (Schema::Flag, Value::Boolean(_))
            | (Schema::List(_), Value::Array(_)) => self.alone(at, value, schema),
            _ => {
                let found = match value {
                    Value::Integer(n) if *n < 0 => "a negative number",
                    Value::String(_) => "text",
                    Value::Integer(_) => "a whole number",
                    Value::Float(_) => "a number with a fraction",
                    Value::Boolean(_) => "true or false",
                    Value::Datetime(_) => "a date",
                    Value::Array(_) => "a list",
                    Value::Table(_) => "a table",
                };
                let example = self.example(at);
                self.report
                    .error(at, format!("takes {schema}, not {found}{example}"));
            }
        }
    }

    /// Tries the type on a file that holds nothing but this key.
    fn alone(&mut self, at: &str, value: &Value, schema: &Schema) {
        let mut whole = value.clone();
        for part in at.split('.').rev() {
            whole = if part.parse::<usize>().is_ok() {
                Value::Array(vec![whole])
            } else {
                Value::Table(Table::from_iter([(part.to_owned(), whole)]))
            };
        }
        let Some(trouble) = (self.try_alone)(whole) else {
            return;
        };
        let example = self.example(at);
        let message = if self.expanded.contains(at) {
            format!("takes {schema}; what stands behind the `${{…}}` does not fit{example}")
        } else {
            format!("{trouble}{example}")
        };
        self.report.error(at, message);
    }

    fn expand(&mut self, at: &str, value: &mut Value) {
        match value {
            Value::String(text) => match secrets::expand(text, self.env, self.base) {
                Ok(None) => {}
                Ok(Some(full)) => {
                    self.expanded.insert(at.to_owned());
                    *text = full;
                }
                Err(message) => self.report.error(at, message),
            },
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    if !matches!(item, Value::Table(_)) {
                        self.expand(&join(at, &index.to_string()), item);
                    }
                }
            }
            Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Table(_) => {}
        }
    }

    /// How the shipped file writes this key.
    fn example(&self, at: &str) -> String {
        let mut parts: Vec<&str> = at.split('.').collect();
        let Some(key) = parts.pop() else {
            return String::new();
        };
        let Ok(sample) = toml::from_str::<Table>(self.form.sample) else {
            return String::new();
        };
        let mut here = Some(Value::Table(sample));
        for part in parts.into_iter().chain([key]) {
            here = here.and_then(|v| match part.parse::<usize>() {
                Ok(_) => v.as_array().and_then(|a| a.first()).cloned(),
                Err(_) => v.get(part).cloned(),
            });
        }
        match here {
            Some(Value::Table(_)) | None => String::new(),
            Some(value) => format!("; write it like: {key} = {value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_read_like_the_file() {
        assert_eq!(label("http.listen"), "[http] listen");
        assert_eq!(label("cameras.2.main"), "[[cameras]] 3 main");
        assert_eq!(label("http"), "[http]");
        assert_eq!(
            label("cameras.0.policies.tls"),
            "[[cameras]] 1 policies.tls"
        );
        assert_eq!(label("archive.volumes.0.dir"), "[[archive.volumes]] 1 dir");
    }
}
