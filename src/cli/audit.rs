//! `fa-audit audit`: trains what a study lacks, and ends with the table.

use super::options::data_dir_key;
use super::results::{self, FailOn};
use super::{DONE, FAILED, INTERRUPTED, Show, VERDICT, print};
use crate::audit::unchanged::{self, Judgements};
use crate::audit::{Auditor, Options};
use crate::backend;
use crate::config::Layer;
use crate::failure::usage;
use crate::message::tell;
use crate::study::claims::tested;
use crate::study::{
    self, DEMONSTRATION, Display, Estimator, Failure, Mixture, PlannedRun, Program, Shard, Study,
    StudyFile, listing, train_missing, with_base_keys,
};
use crate::train::interrupt;
use crate::train::run_dir::RunDir;
use crate::verdict::Audit;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Run a study and print its verdict table; without a file the demonstration
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  fa-audit audit                          the embedded demonstration, about a minute
  fa-audit audit my-study.toml --data-dir ~/data --out runs/my-study
  fa-audit audit my-study.toml --dry-run  what there is to do and how long it takes

On several machines that share runs/, or in a Slurm array; the last call merges:
  fa-audit audit my-study.toml --shard 1/2
  fa-audit audit my-study.toml --shard $SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT
  parallel fa-audit audit my-study.toml --workers 1 --shard {}/4 ::: 1 2 3 4
  fa-audit audit my-study.toml

What is finished is not trained again: the same call goes on after an interrupt.")]
pub struct Args {
    /// A study file [default: the embedded demonstration]
    #[arg(value_name = "STUDY.toml")]
    study: Option<PathBuf>,
    /// Where the runs lie [default: runs/<name of the study>]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Runs side by side, one thread each [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    workers: Option<u16>,
    /// Train one part of the study, the i-th of n
    #[arg(long, value_name = "i/n")]
    shard: Option<Shard>,
    /// List the runs and the time they take, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Go on where runs were made by other code, or on other data, than the rest
    #[arg(long)]
    allow_mixed: bool,
    /// Where the CIFAR files lie
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Set a key that all runs share
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Show a row for each run, with its reasons, beside the means over seeds
    #[arg(long)]
    seeds: bool,
    /// One JSON object a line on standard output, and nothing else
    #[arg(long)]
    json: bool,
    /// Exit with 3 on these verdicts, or where a claim of the study does not stand
    #[arg(long, value_enum, value_delimiter = ',', default_value = "never")]
    fail_on: Vec<FailOn>,
}

/// What would train here.
const PROGRAM: Program =
    Program { git_revision: env!("FA_AUDIT_GIT_REVISION"), burn: backend::BURN_VERSION };

pub fn run(args: Args, show: Show) -> Result<u8> {
    interrupt::catch()?;
    let study = args.read_study()?;
    let root = args.out.clone().unwrap_or_else(|| PathBuf::from("runs").join(&study.name));
    // Before the plan is read: of several programs that register the same claims the first one's time
    // is kept, and no run begins before it.
    let now = crate::now();
    let before = StudyFile::of_the_same(&root, &study.name)?;
    let runs = study::plan(&root, &study)?;
    let shard = args.shard.unwrap_or(Shard::WHOLE);
    let part = runs.iter().enumerate().filter(|(position, _)| shard.has(*position));
    let mine: Vec<&PlannedRun> = part.map(|(_, run)| run).collect();
    let missing = mine.len() - finished(mine.iter().copied())?.len();
    let mixture = Mixture::of(&runs, (missing > 0).then_some(PROGRAM))?;
    let estimator = Estimator::of(&runs)?;
    let workers = args.workers.map_or_else(cores, usize::from);
    if args.dry_run {
        print(&(listing(&mine, &estimator, workers)? + "\n"))?;
        if let Some(mixture) = mixture {
            tell(format!("warning: {MIXED} and need --allow-mixed{mixture}"));
        }
        return Ok(DONE);
    }

    args.check_mixture(mixture)?;
    let newest = StudyFile::of_the_same(&root, &study.name)?;
    let plan = StudyFile::of(&study, &runs, newest.as_ref(), &now)?;
    plan.write(&root, before.as_ref())?;
    if !show.quiet {
        let (count, place) = (runs.len(), root.display());
        let of = args.shard.map_or(String::new(), |_| format!(" of {} here", mine.len()));
        tell(format!("study {}: {count} runs in {place}, {missing}{of} to train", study.name));
        note_others(&plan, &root, &runs, missing)?;
    }
    let shown = study::ShownProgress { messages: !show.quiet, display: !show.no_progress };
    let mut display = Display::new(&mine, estimator, workers, shown)?;
    let failures = train_missing(&mine, workers, &mut display)?;
    drop(display);
    if interrupt::asked() {
        return Ok(interrupted());
    }

    let failed = |run: &PlannedRun| failures.iter().any(|f| f.dir == run.dir.path());
    let rest: Vec<_> = runs.iter().filter(|run| !failed(run)).collect();
    let elsewhere = rest.len() - finished(rest.iter().copied())?.len();
    if elsewhere > 0 {
        report(&failures, true)?;
        if !show.quiet {
            let of = runs.len();
            tell(format!(
                "no verdicts yet: other programs have {elsewhere} of {of} runs to finish;"
            ));
            tell(format!("when they are done: {}", args.merging()));
        }
        return Ok(if failures.is_empty() { DONE } else { FAILED });
    }
    if missing > 0 {
        // Only now the data of the new runs are known.
        args.check_mixture(Mixture::of(&runs, None)?)?;
    }
    conclude(&args, &root, &runs, failures, shown)
}

/// A verdict, and what it was made from where it is new.
struct Verdict<'a> {
    audit: Audit,
    dir: &'a RunDir,
    made_from: Option<String>,
}

/// Judges what finished and is not judged as it stands, and ends with the table; what failed stands under
/// it.
fn conclude(
    args: &Args,
    root: &Path,
    runs: &[PlannedRun],
    mut failures: Vec<Failure>,
    shown: study::ShownProgress,
) -> Result<u8> {
    let data_dir = args.data_dir.clone();
    let options = Options { data_dir, controls: true, ..Options::default() };
    let mut judgements = Judgements::of(root, &options)?;
    let mut auditor = Auditor::new(options);
    let mut judged = Vec::new();
    let finished = finished(runs)?;
    let bar = study::judging(finished.len(), shown);
    for run in finished {
        if interrupt::asked() {
            return Ok(interrupted());
        }
        let dir = &run.dir;
        let made_from = judgements.made_from(dir, run.config)?;
        match judgements.standing(dir, &made_from)? {
            Some(audit) => judged.push(Verdict { audit, dir, made_from: None }),
            None => match auditor.audit(&dir.checkpoint()) {
                Ok(audit) => judged.push(Verdict { audit, dir, made_from: Some(made_from) }),
                Err(error) => failures.push(Failure::of(run, format!("not judged: {error:#}"))),
            },
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let audits: Vec<_> = judged.iter().map(|j| j.audit.clone()).collect();
    // What was found is not lost to a folder that cannot be written, nor the files to a closed pipe.
    let printed = if args.json { results::show(&audits, true, args.seeds) } else { Ok(()) };
    for Verdict { audit, dir, made_from } in &judged {
        if let Some(made_from) = made_from {
            let text = results::write_verdict(audit, &dir.verdict_file())?;
            unchanged::note(dir, made_from, &text)?;
        }
    }
    let study = super::report::write_pages(root)?;
    printed?;
    if !args.json {
        results::show(&audits, false, args.seeds)?;
    }
    results::show_together(&study, args.json)?;
    let claims = tested(&study);
    results::show_claims(&study, &claims, args.json)?;
    report(&failures, args.json)?;
    if !args.json {
        results::show_gists(&audits)?;
    }
    if shown.messages {
        let place = root.display();
        tell(format!(
            "charts and controls: {place}/report.html; more: fa-audit report {place} --help"
        ));
    }
    if !failures.is_empty() {
        return Ok(FAILED);
    }
    let claims = args.fail_on.contains(&FailOn::Claims) && results::claims_fail(&study, &claims);
    let verdicts = args.fail_on.iter().map(|fail_on| results::exit_code(&audits, *fail_on));
    Ok(verdicts.max().unwrap_or(DONE).max(if claims { VERDICT } else { DONE }))
}

/// Those of `runs` that are finished.
fn finished<'a, 'c: 'a>(
    runs: impl IntoIterator<Item = &'a PlannedRun<'c>>,
) -> Result<Vec<&'a PlannedRun<'c>>> {
    let mut found = Vec::new();
    for run in runs {
        if run.is_finished()? {
            found.push(run);
        }
    }
    Ok(found)
}

fn interrupted() -> u8 {
    tell("interrupted; the same command goes on");
    INTERRUPTED
}

const MIXED: &str = "the runs of this study do not belong together";

impl Args {
    /// Of a study that is trained anew.
    pub(super) fn again(
        study: PathBuf,
        out: PathBuf,
        data_dir: Option<PathBuf>,
        workers: Option<u16>,
    ) -> Self {
        Self {
            study: Some(study),
            out: Some(out),
            workers,
            shard: None,
            dry_run: false,
            allow_mixed: false,
            data_dir,
            set: Vec::new(),
            seeds: false,
            json: false,
            fail_on: Vec::new(),
        }
    }

    fn read_study(&self) -> Result<Study> {
        let mut over = Layer::new("the command line");
        if let Some(dir) = &self.data_dir {
            over.keys.insert("data_dir".into(), data_dir_key(dir)?);
        }
        let set = Layer::of_assignments(&self.set)?;
        let Some(path) = &self.study else {
            const NAME: &str = "the demonstration study";
            return Study::parse(NAME, &with_base_keys(NAME, DEMONSTRATION, &set)?, &over);
        };
        Study::read_setting(path, &set, &over)
    }

    /// Refuses a mixture, or warns of one that was allowed.
    fn check_mixture(&self, mixture: Option<Mixture>) -> Result<()> {
        match mixture {
            None => Ok(()),
            Some(mixture) if self.allow_mixed => {
                tell(format!("warning: {MIXED}{mixture}"));
                Ok(())
            }
            Some(mixture) => Err(usage(format!("{MIXED}; --allow-mixed goes on{mixture}"))),
        }
    }

    /// The command that ends the study.
    fn merging(&self) -> String {
        let mut words = "fa-audit audit".to_string();
        if let Some(study) = &self.study {
            words += &format!(" {}", study.display());
        }
        for (flag, dir) in [("--out", &self.out), ("--data-dir", &self.data_dir)] {
            if let Some(dir) = dir {
                words += &format!(" {flag} {}", dir.display());
            }
        }
        for assignment in &self.set {
            words += &format!(" --set {assignment}");
        }
        words
    }
}

/// The runs without a verdict and why: under the table, or where that is JSON on standard error.
fn report(failures: &[Failure], aside: bool) -> Result<()> {
    if failures.is_empty() {
        return Ok(());
    }
    let mut text = "\nFailed, without a verdict\n".to_string();
    for Failure { who, dir, message } in failures {
        text += &format!("  · {who}: {message}\n    {}\n", dir.display());
    }
    if aside {
        tell(text.trim());
        return Ok(());
    }
    print(&text)
}

/// Mentions what lies in the directory and is not as the study says.
fn note_others(plan: &StudyFile, root: &Path, runs: &[PlannedRun], missing: usize) -> Result<()> {
    let strangers = plan.strangers(root)?;
    if let Some(first) = strangers.first() {
        let who = match strangers.len() {
            1 => format!("1 run here is not the study's and is left alone: {first}"),
            n => format!("{n} runs here are not the study's and are left alone, such as {first}"),
        };
        tell(format!("note: {who}"));
    }
    let ours = (missing > 0).then(backend::instruction_sets);
    if let Some(text) = study::other_processors(runs, ours.as_deref())? {
        tell(format!("note: {text}"));
    }
    if let Some(text) = study::other_keys(runs)? {
        tell(format!("note: {text}"));
    }
    Ok(())
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
