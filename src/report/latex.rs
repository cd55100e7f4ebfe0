//! A study's verdicts and layers as LaTeX tables (booktabs, nothing else): what a paper takes over.
//!
//! Text is made of the panels that the other formats show. Nothing of it reaches LaTeX as markup:
//! its special characters are escaped, symbols that a standard installation has no glyph for are
//! spelt.

use super::content::{self, Content};
use super::panel::{Cell, Panel, Shade};
use super::xml::{Piece, pieces};
use crate::study::results::StudyResult;
use crate::train::lifecycle::TOOL;
use crate::verdict::PROTOCOL;

/// The tables, to be read in with `\input`.
pub fn write(study: &StudyResult) -> String {
    let content = Content::of(study);
    let mut out = format!(
        "% {}: {}\n% {}, protocol {PROTOCOL}. In the preamble: \\usepackage{{booktabs}}\n",
        TOOL.trim(),
        one_line(content.name),
        one_line(content.standing().trim_end_matches('.')),
    );
    let tables = [
        ("verdicts", content::verdicts(&content)),
        ("cosines", content::cosines(&content)),
        ("norms", content::norms(&content)),
    ];
    for (label, panel) in tables {
        out += &table(&panel, content.name, label);
    }
    out
}

/// A comment ends with its line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A floating table. The first column is words, the others are numbers unless the panel says otherwise.
fn table(panel: &Panel, study: &str, label: &str) -> String {
    let width = panel.rows.iter().map(Vec::len).chain([panel.columns.len()]).max().unwrap_or(0);
    let is_word = |column: usize| {
        let told = panel.columns.get(column).is_none_or(|title| {
            title.is_empty() || ["Method", "Verdict"].contains(&title.as_str())
        });
        told || panel.words.contains(&column)
    };
    let columns: String = (0..width).map(|i| if is_word(i) { 'l' } else { 'r' }).collect();
    let heads: Vec<Cell> = panel.columns.iter().map(Cell::from).collect();
    let mut out = format!(
        "\n\\begin{{table}}[tbp]\n  \\centering\\footnotesize\\setlength{{\\tabcolsep}}{{3pt}}\n  \
         \\caption{{{}, {}. {}}}\n  \\label{{tab:fa-audit-{label}}}\n  \\begin{{tabular}}{{@{{}}{columns}@{{}}}}\n    \\toprule\n",
        escaped(&panel.title),
        escaped(study),
        escaped(&panel.note),
    );
    out += &lines(&heads, width);
    out += "    \\midrule\n";
    let of_several = |row: &Vec<Cell>| row.iter().any(|cell| cell.text.contains('\n'));
    let opens = |row: &Vec<Cell>| row.first().is_some_and(|cell| !cell.text.is_empty());
    let grouped = panel.rows.iter().any(|row| !opens(row) || of_several(row));
    for (i, row) in panel.rows.iter().enumerate() {
        if grouped && i > 0 && opens(row) {
            out += "    \\addlinespace\n";
        }
        out += &lines(row, width);
    }
    out + "    \\bottomrule\n  \\end{tabular}\n\\end{table}\n"
}

/// A row, and under it what stands in second, quieter lines.
fn lines(cells: &[Cell], width: usize) -> String {
    let height = cells.iter().map(|cell| cell.text.lines().count()).max().unwrap_or(0);
    let mut out = String::new();
    for i in 0..height.max(1) {
        let written = (0..width).map(|column| {
            let cell = cells.get(column);
            let line = cell.and_then(|cell| cell.text.lines().nth(i)).unwrap_or_default();
            let bad = cell.is_some_and(|cell| cell.shade == Shade::Bad);
            match (line, i) {
                ("", _) => String::new(),
                (line, 0) if bad => format!("\\textbf{{{}}}", escaped(line)),
                (line, 0) => escaped(line),
                (line, _) => format!("{{\\scriptsize {}}}", escaped(line)),
            }
        });
        out += &format!("    {} \\\\\n", written.collect::<Vec<_>>().join(" & "));
    }
    out
}

/// Text that LaTeX shows as it stands: `h_0` and `‖g‖_2` with true subscripts, `-3` with a minus,
/// `2.3e-7` as a power of ten.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    let all = pieces(text);
    for (i, piece) in all.iter().enumerate() {
        let Piece::Plain(plain) = piece else { continue };
        // The symbol that a subscript belongs to is set with it.
        let below = match all.get(i + 1) {
            Some(Piece::Sub(below)) => Some(below),
            _ => None,
        };
        let symbol = below.and_then(|_| plain.chars().next_back());
        let rest = &plain[..plain.len() - symbol.map_or(0, char::len_utf8)];
        numbers(rest, &mut out);
        if let (Some(symbol), Some(below)) = (symbol, below) {
            let symbol = match math(symbol) {
                Some(symbol) => symbol.to_string(),
                None => symbol.to_string(),
            };
            out += &format!("${symbol}_{{{below}}}$");
        }
    }
    out
}

/// Escapes a text, its numbers as numbers.
fn numbers(text: &str, out: &mut String) {
    let mut rest = text;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let starts = !before.is_alphanumeric() && before != '.' && before != '-';
        if let Some((mantissa, exponent, length)) = power(rest).filter(|_| starts) {
            *out += &format!("${mantissa} \\cdot 10^{{{exponent}}}$");
            before = '0';
            rest = &rest[length..];
            continue;
        }
        let next = rest[c.len_utf8()..].chars().next();
        match c {
            '-' if starts && next.is_some_and(|n| n.is_ascii_digit() || n == '.') => *out += "$-$",
            c => character(c, out),
        }
        before = c;
        rest = &rest[c.len_utf8()..];
    }
}

/// `-2.3e-7` at the beginning of a text: mantissa, exponent, length.
fn power(text: &str) -> Option<(&str, &str, usize)> {
    let digits = |text: &str, more: &str| {
        text.find(|c: char| !c.is_ascii_digit() && !more.contains(c)).unwrap_or(text.len())
    };
    let sign = usize::from(text.starts_with('-'));
    let mantissa = sign + digits(&text[sign..], ".");
    let exponent = text[mantissa..].strip_prefix('e')?;
    let minus = usize::from(exponent.starts_with('-'));
    let length = minus + digits(&exponent[minus..], "");
    let ends = exponent[length..].chars().next().is_none_or(|c| !c.is_alphanumeric());
    (mantissa > sign && length > minus && ends)
        .then(|| (&text[..mantissa], &exponent[..length], mantissa + 1 + length))
}

fn character(c: char, out: &mut String) {
    match c {
        '\\' => *out += "\\textbackslash{}",
        '{' | '}' | '&' | '%' | '$' | '#' | '_' => out.extend(['\\', c]),
        '~' => *out += "\\textasciitilde{}",
        '^' => *out += "\\textasciicircum{}",
        '<' => *out += "$<$",
        '>' => *out += "$>$",
        '|' => *out += "$|$",
        '"' => *out += "''",
        // Two of them would be set as one mark.
        '`' => *out += "\\textasciigrave{}",
        '–' => *out += "--",
        '—' => *out += "---",
        '…' => *out += "\\ldots{}",
        '’' => out.push('\''),
        c if c.is_control() => out.push(' '),
        c if c.is_ascii() => out.push(c),
        // What T1's and OT1's fonts have, by themselves or composed.
        'À'..='Ö' | 'Ø'..='Ý' | 'ß'..='ö' | 'ø'..='ý' | 'ÿ' => out.push(c),
        c => match math(c) {
            Some(symbol) => *out += &format!("${symbol}$"),
            None => *out += &format!("[U+{:04X}]", u32::from(c)),
        },
    }
}

/// A symbol in mathematics.
fn math(c: char) -> Option<&'static str> {
    Some(match c {
        '‖' => "\\|",
        '±' => "\\pm",
        '−' => "-",
        '×' => "\\times",
        '·' => "\\cdot",
        '²' => "{}^2",
        '½' => "\\frac12",
        '√' => "\\surd",
        '∞' => "\\infty",
        '≤' => "\\le",
        '≥' => "\\ge",
        '≈' => "\\approx",
        '→' => "\\to",
        '∂' => "\\partial",
        'ᵀ' => "{}^{\\top}",
        'α' => "\\alpha",
        'β' => "\\beta",
        'γ' => "\\gamma",
        'Γ' => "\\Gamma",
        'δ' => "\\delta",
        'Δ' => "\\Delta",
        'ε' => "\\varepsilon",
        'η' => "\\eta",
        'θ' => "\\theta",
        'λ' => "\\lambda",
        'μ' | 'µ' => "\\mu",
        'ρ' => "\\rho",
        'σ' => "\\sigma",
        'Σ' => "\\Sigma",
        'τ' => "\\tau",
        '₁' => "{}_1",
        '₂' => "{}_2",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{empty, study, troubled};

    #[test]
    fn no_character_of_a_text_is_markup() {
        assert_eq!(
            escaped(r"ab_cd & 5 % $x #1 {~^\"),
            r"ab\_cd \& 5 \% \$x \#1 \{\textasciitilde{}\textasciicircum{}\textbackslash{}"
        );
        assert_eq!(escaped("‖g_L‖ at h_0, Γ_l"), r"$\|$$g_{L}$$\|$ at $h_{0}$, $\Gamma_{l}$");
        assert_eq!(escaped("‖A‖²_F λ=0.01"), r"$\|$A$\|$${}^2_{F}$ $\lambda$=0.01");
        assert_eq!(escaped("\u{1b}[31m ☃ é"), " [31m [U+2603] é");
    }

    #[test]
    fn numbers_are_set_as_numbers() {
        assert_eq!(escaped("2.3e-7 ± 1e10"), r"$2.3 \cdot 10^{-7}$ $\pm$ $1 \cdot 10^{10}$");
        assert_eq!(escaped("-17.1 to -.5e-3"), r"$-$17.1 to $-.5 \cdot 10^{-3}$");
        assert_eq!(escaped("cifar-10 v1e5 1e 3e5x"), "cifar-10 v1e5 1e 3e5x");
    }

    /// Cells of a line: ampersands that are not escaped.
    fn cells(line: &str) -> usize {
        line.replace("\\&", "").matches('&').count()
    }

    #[test]
    fn every_row_has_as_many_cells_as_its_table_has_columns_and_braces_match() {
        for study in [study(), troubled(), empty()] {
            let text = write(&study);
            let mut width = 0;
            let mut rows = 0;
            for line in text.lines() {
                if let Some((_, columns)) = line.split_once("\\begin{tabular}{@{}") {
                    width = columns.trim_end_matches("@{}}").len();
                } else if line.ends_with("\\\\") {
                    assert_eq!(cells(line) + 1, width, "{line}");
                    rows += 1;
                }
            }
            assert!(rows >= 3, "{text}");
            let bare = text.replace("\\{", "").replace("\\}", "");
            assert_eq!(bare.matches('{').count(), bare.matches('}').count());
            assert_eq!(bare.replace("\\$", "").matches('$').count() % 2, 0);
            assert!(!text.contains("U+"), "a symbol has no name: {text}");
        }
    }

    #[test]
    fn verdicts_and_layers_are_there_and_what_fires_is_bold() {
        let text = write(&study());
        for part in [
            "\\textbf{walked back}",
            "{\\scriptsize 3/3 seeds}",
            "\\label{tab:fa-audit-verdicts}",
            "\\label{tab:fa-audit-cosines}",
            "\\label{tab:fa-audit-norms}",
            "& $h_{4}$ \\\\",
            "\\usepackage{booktabs}",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains("siunitx"));
    }
}
