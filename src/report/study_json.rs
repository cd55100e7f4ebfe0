//! The study as JSON: each run as its directory tells it, and each method over its seeds. Numbers
//! that are not finite are the strings `"nan"`, `"inf"`, `"-inf"`.

use super::content::{Content, Group};
use crate::claims::Outcome;
use crate::config::Config;
use crate::number::{Number, numbers};
use crate::stats::{Interval, Summary};
use crate::study::claims::{StudyClaims, Tested, tested};
use crate::study::inversion::{Inversion, inversions};
use crate::study::ranks::{RankStudy, ranks};
use crate::study::results::{RunResult, StudyResult};
use crate::train::run_dir::{Divergence, EpochMetrics, Provenance, RunStatus};
use crate::verdict::seeds::{Pooled, PooledGain};
use crate::verdict::{Audit, Decision, MethodSummary, Status, Thresholds};
use anyhow::Result;
use serde::Serialize;

pub const SCHEMA: &str = "fa-audit/study/1";

/// Pretty, with a newline at the end.
///
/// # Errors
/// If a value has no JSON, which none has.
pub fn write(study: &StudyResult) -> Result<String> {
    let content = Content::of(study);
    let document = Document {
        schema: SCHEMA,
        name: &study.name,
        runs: study.runs.iter().map(Run::of).collect(),
        missing: &study.missing,
        methods: content.groups.iter().map(MethodOverSeeds::of).collect(),
        inversion: inversions(study),
        ranks: ranks(study),
        claims: study.claims.as_ref().map(|claims| Claims::of(claims, study)),
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    name: &'a str,
    runs: Vec<Run<'a>>,
    /// The directories of runs that were planned and not begun.
    missing: &'a [String],
    methods: Vec<MethodOverSeeds<'a>>,
    /// One a condition; left out where no two methods can be ranked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inversion: Vec<Inversion>,
    /// One for each network and dataset; left out where no run recorded any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ranks: Vec<RankStudy>,
    /// Left out where the study makes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<Claims<'a>>,
}

/// The study's claims.
#[derive(Serialize)]
struct Claims<'a> {
    file: &'a str,
    sha256: &'a str,
    registered: &'a str,
    /// Where they were written, changed or withdrawn once runs had begun.
    changed_after_training: Option<String>,
    claims: Vec<ClaimRecord>,
}

impl<'a> Claims<'a> {
    fn of(claims: &'a StudyClaims, study: &StudyResult) -> Self {
        let registered = &claims.registered;
        Self {
            file: &registered.file,
            sha256: &registered.sha256,
            registered: &registered.registered,
            changed_after_training: registered.remark(),
            claims: tested(study).iter().map(ClaimRecord::of).collect(),
        }
    }
}

/// One claim and what became of it.
#[derive(Serialize)]
pub struct ClaimRecord {
    claim: String,
    /// What was measured, in words.
    quantity: String,
    method: String,
    metric: String,
    threshold: String,
    seeds: Vec<u64>,
    outcome: Outcome,
    reason: String,
    post_hoc: Option<String>,
    /// Over the seeds; `null` of a verdict, and where it is untested.
    value: Option<Summary>,
    per_seed: Vec<Number>,
}

impl ClaimRecord {
    pub fn of(tested: &Tested) -> Self {
        let claim = &tested.claim;
        Self {
            claim: claim.claim.clone(),
            quantity: claim.quantity(),
            method: claim.method.clone(),
            metric: claim.metric.to_string(),
            threshold: claim.threshold.to_string(),
            seeds: claim.seeds.clone(),
            outcome: tested.outcome,
            reason: tested.reason.clone(),
            post_hoc: tested.post_hoc.clone(),
            value: tested.summary(),
            per_seed: numbers(&tested.per_seed),
        }
    }
}

#[derive(Serialize)]
struct Run<'a> {
    name: &'a str,
    status: RunStatus,
    epoch: usize,
    error: &'a Option<String>,
    diverged: &'a Option<Divergence>,
    config: &'a Config,
    provenance: &'a Provenance,
    metrics: &'a [EpochMetrics],
    audit: &'a Option<Audit>,
}

impl<'a> Run<'a> {
    fn of(run: &'a RunResult) -> Self {
        let record = &run.record;
        Self {
            name: &run.name,
            status: record.status,
            epoch: record.epoch,
            error: &record.error,
            diverged: &record.diverged,
            config: &record.config,
            provenance: &record.provenance,
            metrics: &run.metrics,
            audit: &run.audit,
        }
    }
}

/// A method over its seeds.
#[derive(Serialize)]
struct MethodOverSeeds<'a> {
    /// Unique in the study.
    name: &'a str,
    baseline: bool,
    /// The names of its runs, audited or not.
    runs: Vec<&'a str>,
    /// `null` where no run was audited; then all that follows is left out.
    verdict: Option<Decision>,
    #[serde(flatten)]
    summary: Option<Pools<'a>>,
}

/// Over the audited runs.
#[derive(Serialize)]
struct Pools<'a> {
    label: &'a str,
    arch: &'a str,
    dataset: &'a str,
    data_source: &'a str,
    epochs: Option<u64>,
    seeds: &'a [Option<u64>],
    accuracy: Summary,
    growth: Pool,
    reference: Pool,
    stability: Pool,
    depth_utility: Pool,
    /// 95 %, of the mean paired difference in percentage points.
    depth_interval: Option<Interval>,
    cosine: Option<Summary>,
    cosine_per_layer: &'a [Summary],
    interpretable: bool,
    thresholds: Thresholds,
    /// One for each kind of auxiliary twin; left out where no credit is learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    learned_credit: Option<Vec<Gain<'a>>>,
}

/// What a learned credit gains over its twins of one kind.
#[derive(Serialize)]
struct Gain<'a> {
    /// What their auxiliary network learns.
    over: &'a str,
    twin_accuracy: Summary,
    /// Percentage points, over the seeds that have the twin.
    gain: Summary,
    /// 95 %, of the mean.
    interval: Option<Interval>,
    does_as_well: bool,
    /// Why some seed has none.
    not_evaluated: Option<&'a str>,
}

impl<'a> From<&'a PooledGain> for Gain<'a> {
    fn from(gain: &'a PooledGain) -> Self {
        Self {
            over: &gain.over,
            twin_accuracy: gain.accuracy,
            gain: gain.gain,
            interval: gain.interval,
            does_as_well: gain.does_as_well,
            not_evaluated: gain.missing.as_deref(),
        }
    }
}

/// One diagnostic over seeds.
#[derive(Serialize)]
struct Pool {
    status: Status,
    fired: usize,
    evaluated: usize,
    fragile: bool,
    /// `null` where no seed has a value.
    value: Option<Summary>,
}

impl<'a> MethodOverSeeds<'a> {
    fn of(group: &'a Group) -> Self {
        let pools = |s: &'a MethodSummary| Pools {
            label: &s.label,
            arch: &s.arch,
            dataset: &s.dataset,
            data_source: &s.data_source,
            epochs: s.epochs,
            seeds: &s.seeds,
            accuracy: s.accuracy,
            growth: s.growth.into(),
            reference: s.reference.into(),
            stability: s.stability.into(),
            depth_utility: s.depth_utility.into(),
            depth_interval: s.depth_interval,
            cosine: s.cosine,
            cosine_per_layer: &s.cosine_per_layer,
            interpretable: s.interpretable,
            thresholds: s.thresholds,
            learned_credit: s
                .learned_credit
                .as_ref()
                .map(|gains| gains.iter().map(Gain::from).collect()),
        };
        Self {
            name: &group.name,
            baseline: group.is_baseline,
            runs: group.runs.iter().map(|run| run.name.as_str()).collect(),
            verdict: group.summary.as_ref().map(|s| s.verdict),
            summary: group.summary.as_ref().map(pools),
        }
    }
}

impl From<Pooled> for Pool {
    fn from(p: Pooled) -> Self {
        Self {
            status: p.status,
            fired: p.fired,
            evaluated: p.evaluated,
            fragile: p.fragile,
            value: p.summary,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{bridges, claiming, empty, study, troubled};
    use serde_json::{Value, json};

    fn value(study: &StudyResult) -> Value {
        serde_json::from_str(&write(study).unwrap()).unwrap()
    }

    #[test]
    fn runs_and_methods_stand_side_by_side() {
        let v = value(&study());
        assert_eq!((&v["schema"], &v["name"]), (&json!("fa-audit/study/1"), &json!("resmlp-30")));
        assert_eq!(v["runs"].as_array().unwrap().len(), 15);
        let run = &v["runs"][6];
        assert_eq!((&run["name"], &run["status"]), (&json!("dfa-s42"), &json!("finished")));
        for key in ["config", "provenance", "metrics", "audit"] {
            assert!(!run[key].is_null(), "{key}");
        }
        let dfa = &v["methods"][2];
        assert_eq!((&dfa["name"], &dfa["baseline"]), (&json!("dfa"), &json!(false)));
        assert_eq!(dfa["runs"], json!(["dfa-s42", "dfa-s123", "dfa-s456"]));
        assert_eq!(dfa["verdict"], "walked back");
        assert_eq!(dfa["growth"]["status"], "fired");
        assert_eq!(dfa["growth"]["fired"], 3);
        assert_eq!(dfa["growth"]["value"]["n"], 3);
        assert_eq!(dfa["cosine_per_layer"].as_array().unwrap().len(), 5);
        assert_eq!(dfa["thresholds"]["reference"], 1e-7);
    }

    #[test]
    fn claims_stand_beside_the_methods_and_only_where_there_are_some() {
        assert!(value(&study()).get("claims").is_none());
        let v = value(&claiming(study()));
        assert_eq!(v["claims"]["file"], "claims.toml");
        assert_eq!(v["claims"]["changed_after_training"], Value::Null);
        let claims = v["claims"]["claims"].as_array().unwrap();
        let outcomes: Vec<_> = claims.iter().map(|claim| claim["outcome"].clone()).collect();
        assert_eq!(outcomes, ["stands", "walked back", "untested"]);
        assert_eq!(claims[0]["value"]["n"], 3);
        assert_eq!(claims[0]["per_seed"].as_array().unwrap().len(), 3);
        assert_eq!((&claims[2]["value"], &claims[2]["seeds"]), (&Value::Null, &json!([7])));
    }

    #[test]
    fn a_learned_credit_has_its_gains_and_other_methods_have_none() {
        let v = value(&bridges());
        let of = |name: &str| {
            let methods = v["methods"].as_array().unwrap();
            methods.iter().find(|method| method["name"] == name).unwrap()["learned_credit"].clone()
        };
        assert_eq!(of("dfa"), Value::Null);
        assert_eq!(of("state-bridge auxiliary=shuffled"), Value::Null);
        let gains = of("state-bridge");
        let over: Vec<_> = gains.as_array().unwrap().iter().map(|gain| &gain["over"]).collect();
        assert_eq!(over, ["random", "shuffled"]);
        assert_eq!((&gains[1]["gain"]["n"], &gains[1]["does_as_well"]), (&json!(3), &json!(false)));
        assert_eq!((&gains[0]["gain"]["n"], &gains[0]["interval"]), (&json!(1), &Value::Null));
        assert_eq!(of("credit-bridge")[0]["does_as_well"], true);
    }

    #[test]
    fn the_ranking_by_cosine_stands_beside_that_by_function() {
        let v = value(&bridges());
        let found = &v["inversion"][0];
        assert_eq!(found["condition"], "λ = 0");
        assert_eq!(found["methods"][0]["method"], "credit-bridge");
        let cosine = &found["methods"][0]["places"][0];
        assert_eq!((&cosine["by"], &cosine["rank"]), (&json!("cosine"), &json!(1.0)));
        assert_eq!(found["left_out"][0]["method"], "dfa");
        let accuracy = &found["agreements"][3];
        assert_eq!((&accuracy["by"], &accuracy["over"]), (&json!("accuracy"), &json!("trained")));
        assert_eq!(accuracy["per_seed"].as_array().map(Vec::len), Some(3));
        assert_eq!(accuracy["tau"]["n"], 3);
        assert_eq!(v["inversion"][1]["agreements"][0]["order"], "not_evaluated");
        assert_eq!(value(&empty()).get("inversion"), None);
    }

    #[test]
    fn mishaps_and_values_that_are_not_finite_are_kept() {
        let v = value(&troubled());
        assert_eq!(v["runs"][1]["status"], "failed");
        assert!(v["runs"][1]["error"].as_str().unwrap().starts_with("CUDA error"));
        assert_eq!(v["runs"][1]["audit"], Value::Null);
        assert_eq!(v["runs"][4]["diverged"]["value"], "inf");
        assert_eq!(v["methods"][0]["runs"].as_array().unwrap().len(), 4);
        assert_eq!(v["methods"][0]["accuracy"]["n"], 1);
        assert_eq!(v["methods"][1]["growth"]["value"]["mean"], "nan");
        assert_eq!(v["missing"], json!(["dfa-s6"]));
        assert_eq!(value(&empty())["runs"], json!([]));
    }
}
