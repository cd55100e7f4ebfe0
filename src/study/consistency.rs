//! Refusing to mix: a study's numbers are comparable where one program made them, on the same data.

use super::plan::PlannedRun;
use crate::config::keys::Role;
use crate::config::{BackendName, Config};
use crate::files::exists;
use crate::train::run_dir::{Matmul, RunRecord};
use anyhow::Result;
use std::collections::BTreeSet;
use std::fmt;

/// The program that would train what is left.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    pub git_revision: &'static str,
    pub burn: &'static str,
}

/// Where runs of a study were made differently.
pub struct Mixture(Vec<Difference>);

/// A property with more than one value.
struct Difference {
    property: String,
    groups: Vec<Group>,
}

struct Group {
    value: String,
    runs: Vec<String>,
    /// Whether this program would add to it.
    is_ours: bool,
}

impl Mixture {
    /// What sets the `runs` with results apart, from each other and from the program that is to
    /// train more of them; `None` where nothing does.
    ///
    /// # Errors
    /// Names the file of a run that cannot be read.
    pub fn of(runs: &[PlannedRun], program: Option<Program>) -> Result<Option<Self>> {
        let mut records: Vec<(String, RunRecord)> = Vec::new();
        for run in runs {
            // A run that failed before its first checkpoint has no results.
            if exists(&run.dir.checkpoint())?
                && let Some(record) = run.dir.record()?
            {
                records.push((run.name(), record));
            }
        }
        // Backends that the study's own grid asks for are compared on purpose.
        let backends = runs.iter().map(|run| run.config.backend.word()).collect::<BTreeSet<_>>();
        let mut found = Vec::new();
        for (name, record) in &records {
            for (property, value) in properties(record, backends.len() > 1) {
                group(&mut found, property, value).runs.push(name.clone());
            }
        }
        if let Some(program) = program
            && !records.is_empty()
        {
            group(&mut found, GIT.into(), program.git_revision.into()).is_ours = true;
            group(&mut found, BURN.into(), program.burn.into()).is_ours = true;
        }
        found.retain(|difference: &Difference| difference.groups.len() > 1);
        Ok((!found.is_empty()).then_some(Self(found)))
    }
}

const GIT: &str = "git revision";
const BURN: &str = "Burn";

/// What must agree, with its value in a run.
fn properties(record: &RunRecord, several_backends: bool) -> Vec<(String, String)> {
    let made = &record.provenance;
    let matmul = match made.matmul {
        Matmul::Full => "full precision",
        Matmul::Reduced => "rounded (TF32)",
    };
    let (on, backend) = match several_backends {
        true => (format!(" on {}", made.backend), None),
        false => (String::new(), Some(("backend".into(), made.backend.clone()))),
    };
    let mut found = vec![
        (GIT.into(), made.git_revision.clone()),
        (BURN.into(), made.burn.clone()),
        (format!("matrix products{on}"), matmul.into()),
        (data(&record.config), made.data.sha256.clone()),
    ];
    found.extend(backend);
    found
}

/// The data that a run asks for.
fn data(config: &Config) -> String {
    let words = config.in_words(Role::Data);
    match words.split_once(", ") {
        Some((kind, keys)) => format!("{kind} data ({keys})"),
        None => format!("{words} data"),
    }
}

/// The group of `value`, made where there is none.
fn group(found: &mut Vec<Difference>, property: String, value: String) -> &mut Group {
    let at = found.iter().position(|d| d.property == property).unwrap_or_else(|| {
        found.push(Difference { property, groups: Vec::new() });
        found.len() - 1
    });
    let groups = &mut found[at].groups;
    let at = groups.iter().position(|g| g.value == value).unwrap_or_else(|| {
        groups.push(Group { value, runs: Vec::new(), is_ours: false });
        groups.len() - 1
    });
    &mut groups[at]
}

/// A note on runs that were made on processors of other instruction sets, of each other or than
/// `ours`, which would train more of them: the same run there gives other last bits.
///
/// # Errors
/// Names the file of a run that cannot be read.
pub fn other_processors(runs: &[PlannedRun], ours: Option<&str>) -> Result<Option<String>> {
    let mut found: Vec<(String, usize)> = Vec::new();
    for run in runs {
        // On a GPU the processor does not compute; older records do not say.
        let Some(RunRecord { config, provenance, .. }) = run.dir.record()? else { continue };
        let Some(sets) = provenance.instruction_sets else { continue };
        if config.backend == BackendName::Cuda || !exists(&run.dir.checkpoint())? {
            continue;
        }
        match found.iter_mut().find(|(known, _)| *known == sets) {
            Some((_, count)) => *count += 1,
            None => found.push((sets, 1)),
        }
    }
    let here = ours.filter(|ours| found.iter().all(|(known, _)| known != ours));
    if found.len() + usize::from(here.is_some() && !found.is_empty()) < 2 {
        return Ok(None);
    }
    let mut text =
        "processors of different instruction sets, which give other last bits:".to_owned();
    for (sets, count) in found {
        text += &format!("\n  {sets}: {count} run{}", if count == 1 { "" } else { "s" });
    }
    if let Some(here) = here {
        text += &format!("\n  {here}: this machine");
    }
    Ok(Some(text))
}

/// A note on runs that were started with other probe or threshold keys than the study has now; such
/// keys are no part of a run's identity, and a run is judged by its own.
///
/// # Errors
/// Names the record that cannot be read.
pub fn other_keys(runs: &[PlannedRun]) -> Result<Option<String>> {
    let mut keys = BTreeSet::new();
    let mut found = Vec::new();
    for run in runs {
        let Some(record) = run.dir.record()? else { continue };
        let differing = run.config.differing_keys(&record.config);
        let own: Vec<&str> =
            differing.filter(|key| key.role != Role::Folder).map(|key| key.name).collect();
        if !own.is_empty() {
            found.push(run.name());
            keys.extend(own);
        }
    }
    let Some(first) = found.first() else { return Ok(None) };
    let keys = Vec::from_iter(keys).join(", ");
    Ok(Some(match found.len() {
        1 => format!("{first} keeps its own {keys}"),
        n => format!("{n} runs, such as {first}, keep their own {keys}"),
    }))
}

impl fmt::Display for Mixture {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for Difference { property, groups } in &self.0 {
            write!(f, "\n  {property}:")?;
            for group in groups {
                write!(f, "\n    {group}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let short: String = self.value.chars().take(16).collect();
        let runs = match self.runs.as_slice() {
            [] => None,
            [one] => Some(format!("1 run, {one}")),
            [first, ..] => Some(format!("{} runs, such as {first}", self.runs.len())),
        };
        let program = self.is_ours.then(|| "this program".to_string());
        let who: Vec<String> = runs.into_iter().chain(program).collect();
        write!(f, "{short}: {}", who.join("; and "))
    }
}
