//! What is printed: a row a figure, with goal and ratio.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

/// A figure that should be at most (or at least) its goal.
#[derive(Clone, Copy)]
pub enum Goal {
    /// No goal is set.
    None,
    /// At most so much, in the unit of the figure.
    AtMost(f64),
    /// At least so much.
    AtLeast(f64),
}

/// The rows of a run; each is also printed as it comes.
#[derive(Default)]
pub struct Rows(Vec<[String; 5]>);

impl Rows {
    /// Adds a figure in `unit`.
    pub fn add(&mut self, what: &str, figure: f64, unit: &str, goal: Goal, note: &str) {
        let number = |value: f64| match value {
            value if value.fract() == 0.0 && value < 1e6 => format!("{value:.0} {unit}"),
            value if value >= 100.0 => format!("{value:.0} {unit}"),
            value if value >= 10.0 => format!("{value:.1} {unit}"),
            value => format!("{value:.2} {unit}"),
        };
        let (wanted, ratio) = match goal {
            Goal::None => (String::new(), String::new()),
            Goal::AtMost(most) => (
                format!("≤ {}", number(most)),
                verdict(figure, most, figure <= most),
            ),
            Goal::AtLeast(least) => (
                format!("≥ {}", number(least)),
                verdict(figure, least, figure >= least),
            ),
        };
        let row = [
            what.to_owned(),
            number(figure),
            wanted,
            ratio,
            note.to_owned(),
        ];
        eprintln!("  {} {}  {}", row[0], row[1], row[4]);
        self.0.push(row);
    }

    /// Adds a duration in milliseconds.
    pub fn add_time(&mut self, what: &str, time: Duration, goal: Goal, note: &str) {
        self.add(what, time.as_secs_f64() * 1e3, "ms", goal, note);
    }

    /// Adds two percentiles of samples, with a goal for each.
    pub fn add_percentiles(&mut self, what: &str, samples: &[Duration], goals: [Goal; 2]) {
        let mut sorted = samples.to_vec();
        sorted.sort();
        let Some(max) = sorted.last() else { return };
        let at = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1];
        let note = format!(
            "{} samples, max {:.0} ms",
            sorted.len(),
            max.as_secs_f64() * 1e3
        );
        self.add_time(&format!("{what}, p50"), at(50), goals[0], &note);
        self.add_time(&format!("{what}, p99"), at(99), goals[1], "");
    }

    /// The rows as a table.
    pub fn print(&self, title: &str) {
        let mut table = Table::new();
        table
            .load_style(presets::ASCII_MARKDOWN)
            .set_header(["figure", "measured", "goal", "ratio", "note"]);
        for row in &self.0 {
            table.add_row(row);
        }
        for column in 1..=3 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        println!("\n{title}\n\n{table}");
    }
}

fn verdict(figure: f64, goal: f64, met: bool) -> String {
    let word = if met { "met" } else { "MISSED" };
    if goal == 0.0 {
        return word.to_owned();
    }
    format!("{:.2} {word}", figure / goal)
}

/// Machine, cores, profile.
pub fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown CPU", |rest| {
            rest.trim_start_matches([' ', '\t', ':'])
        });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: f64 = memory
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemTotal:")?
                .trim()
                .strip_suffix(" kB")?
                .parse()
                .ok()
        })
        .unwrap_or_default();
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    let profile = if cfg!(debug_assertions) {
        "dev (not for publication)"
    } else {
        "release"
    };
    format!(
        "{model}, {cores} cores, {:.0} GiB; profile {profile}; load average at the start {load}",
        kib / 1024.0 / 1024.0
    )
}
