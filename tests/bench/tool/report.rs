//! From measurements to tables and a plot.
//!
//! A measurement is a line of four columns with tabs between: table, row, system, value. A value is a number, or two
//! with a slash between. Tables, rows and systems come out in the order in which they first appear; what was measured
//! several times comes out as its median. The first system of a table is what the others are compared with.

use std::collections::HashMap;
use std::fmt::Write;

use crate::Result;

struct Table<'a> {
    title: &'a str,
    systems: Vec<&'a str>,
    rows: Vec<Row<'a>>,
}

struct Row<'a> {
    name: &'a str,
    /// For each system the measurements: one number each, or two.
    cells: HashMap<&'a str, Vec<Vec<f64>>>,
}

impl Row<'_> {
    /// The medians of a cell: of one number, or of two; none if it is empty.
    fn medians(&self, system: &str) -> Vec<f64> {
        let Some(rounds) = self.cells.get(system) else { return Vec::new() };
        let numbers = rounds.iter().map(Vec::len).min().unwrap_or_default();
        (0..numbers).map(|nth| median(rounds.iter().map(|round| round[nth]).collect())).collect()
    }

    /// How far the rounds of a cell lie apart, in percent of their median.
    fn spread(&self, system: &str) -> Option<f64> {
        let rounds = self.cells.get(system).filter(|rounds| rounds.len() > 1)?;
        let firsts = || rounds.iter().map(|round| round[0]);
        let (least, most) = (firsts().fold(f64::MAX, f64::min), firsts().fold(f64::MIN, f64::max));
        Some((most - least) / median(firsts().collect()) * 100.0)
    }
}

fn parse(measurements: &str) -> Result<Vec<Table<'_>>> {
    let mut tables: Vec<Table<'_>> = Vec::new();
    for line in measurements.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [title, name, system, value] = columns[..] else { return Err(format!("not four columns: {line}").into()) };
        let value: Vec<f64> = value.split('/').map(str::parse).collect::<std::result::Result<_, _>>()?;
        let table = find_or_add(&mut tables, |table| table.title == title, || Table::new(title));
        find_or_add(&mut table.systems, |known| *known == system, || system);
        let row = find_or_add(&mut table.rows, |row| row.name == name, || Row { name, cells: HashMap::new() });
        row.cells.entry(system).or_default().push(value);
    }
    Ok(tables)
}

impl<'a> Table<'a> {
    fn new(title: &'a str) -> Self {
        Self { title, systems: Vec::new(), rows: Vec::new() }
    }
}

fn find_or_add<T>(list: &mut Vec<T>, is_it: impl Fn(&T) -> bool, new: impl FnOnce() -> T) -> &mut T {
    let index = list.iter().position(is_it).unwrap_or_else(|| {
        list.push(new());
        list.len() - 1
    });
    &mut list[index]
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    if numbers.len() % 2 == 1 { numbers[middle] } else { (numbers[middle - 1] + numbers[middle]) / 2.0 }
}

/// Three significant digits, with a suffix for a thousand or a million.
fn short(number: f64) -> String {
    let (scaled, unit) = match number.abs() {
        999_500.0.. => (number / 1e6, " M"),
        999.5.. => (number / 1e3, " k"),
        _ => (number, ""),
    };
    let decimals = match scaled.abs() {
        99.5.. => 0,
        9.95.. => 1,
        0.0995.. => 2,
        _ => 3,
    };
    let digits = format!("{scaled:.decimals$}");
    let digits = if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { &digits };
    format!("{digits}{unit}")
}

/// All tables, in Markdown.
pub(crate) fn tables(measurements: &str) -> Result<String> {
    let mut out = String::new();
    for table in parse(measurements)? {
        let reference = table.systems[0];
        write!(out, "### {}\n\n| |", table.title)?;
        table.systems.iter().try_for_each(|system| write!(out, " {system} |"))?;
        writeln!(out, "\n|---|{}", "---:|".repeat(table.systems.len()))?;
        for row in &table.rows {
            write!(out, "| {} |", row.name)?;
            for system in &table.systems {
                let cell = match (row.medians(system).as_slice(), row.medians(reference).as_slice()) {
                    ([], _) => "–".into(),
                    ([one], [theirs]) if *system != reference && *theirs > 0.0 => {
                        let ratio = one / theirs;
                        let ratio = if ratio < 0.01 { short(ratio) } else { format!("{ratio:.2}") };
                        format!("{} ({ratio})", short(*one))
                    }
                    ([one], _) => short(*one),
                    (several, _) => several.iter().copied().map(short).collect::<Vec<_>>().join(" / "),
                };
                write!(out, " {cell} |")?;
            }
            writeln!(out)?;
        }
        let spreads: Vec<f64> = table.rows.iter().filter_map(|row| row.spread(reference)).collect();
        if !spreads.is_empty() {
            let (worst, middle) = (spreads.iter().copied().fold(0.0, f64::max), median(spreads));
            write!(out, "\nNoise: the rounds of {reference} lie {middle:.0} % apart in the middle row, ")?;
            writeln!(out, "{worst:.0} % in the worst (most less least, of the median).")?;
        }
        writeln!(out)?;
    }
    Ok(out)
}

// ---- the plot -------------------------------------------------------------------------------------------------------

const COLUMNS: usize = 3;
const PANEL_WIDTH: usize = 345;
const NAME_WIDTH: usize = 140;
const BAR_WIDTH: f64 = 130.0;
const BAR_HEIGHT: usize = 14;
const LINE_HEIGHT: usize = 19;
/// Above the bars of a panel: its row, its table, and some air.
const HEAD_HEIGHT: usize = 48;
const MARGIN: usize = 16;

/// Some rows as panels of bars. Each row is looked for in the first table that has it; one that was not measured is
/// left out.
pub(crate) fn plot(measurements: &str, rows: &[&str]) -> Result<String> {
    let tables = parse(measurements)?;
    let find = |name: &&str| {
        tables.iter().find_map(|table| table.rows.iter().find(|row| row.name == *name).map(|row| (table, row)))
    };
    let panels: Vec<_> = rows.iter().filter_map(find).collect();
    let (mut body, mut y) = (String::new(), MARGIN);
    for line in panels.chunks(COLUMNS) {
        for (column, (table, row)) in line.iter().enumerate() {
            panel(&mut body, MARGIN + column * PANEL_WIDTH, y, table, row)?;
        }
        let most = line.iter().map(|(table, _)| table.systems.len()).max().unwrap_or_default();
        y += HEAD_HEIGHT + most * LINE_HEIGHT + MARGIN;
    }
    let width = 2 * MARGIN + COLUMNS * PANEL_WIDTH;
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {y}\" width=\"{width}\" height=\"{y}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{y}\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    ))
}

fn panel(out: &mut String, x: usize, y: usize, table: &Table<'_>, row: &Row<'_>) -> Result<()> {
    writeln!(out, "<text x=\"{x}\" y=\"{}\" font-weight=\"bold\">{}</text>", y + 14, escape(row.name))?;
    writeln!(out, "<text x=\"{x}\" y=\"{}\" font-size=\"11\" fill=\"#666666\">{}</text>", y + 30, escape(table.title))?;
    let bars = table.systems.iter().filter_map(|system| Some((*system, *row.medians(system).first()?)));
    let most = bars.clone().map(|(_, number)| number).fold(f64::MIN_POSITIVE, f64::max);
    for (index, (system, number)) in bars.enumerate() {
        let (top, left) = (y + HEAD_HEIGHT - 8 + index * LINE_HEIGHT, x + NAME_WIDTH);
        // A bar of nothing is a line.
        let width = (number / most * BAR_WIDTH).max(1.0);
        let base = top + BAR_HEIGHT - 3;
        writeln!(out, "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\">{}</text>", left - 6, escape(system))?;
        let colour = colour(system);
        writeln!(
            out,
            "<rect x=\"{left}\" y=\"{top}\" width=\"{width:.1}\" height=\"{BAR_HEIGHT}\" fill=\"{colour}\"/>"
        )?;
        writeln!(out, "<text x=\"{:.1}\" y=\"{base}\">{}</text>", left as f64 + width + 5.0, short(number))?;
    }
    Ok(())
}

fn colour(system: &str) -> &'static str {
    match system {
        "kvstore" => "#7fb2e5",
        _ if system.starts_with("kvstore") => "#1f6fb5",
        "floor" => "#dddddd",
        _ => "#a3aab2",
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
