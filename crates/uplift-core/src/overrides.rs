//! Scripts adjusted for one database: a layer over its pack, of changes to single steps of a hop. An override is never
//! edited; who changes one removes it and adds another.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::{
    pack::{Hop, Step, is_variable},
    plan,
};

/// The most that a script may be, in bytes.
pub const MAX_SCRIPT_BYTES: usize = 1 << 20;

/// How long a script that is put in may take, in seconds: as long as a pack's own where that says nothing.
const INSERTED_SECONDS: u64 = 3600;

/// One change to one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Override {
    /// Such as `17.0-18.0`, or `custom`.
    pub hop: String,
    /// The step's name within the hop.
    pub step: String,
    /// What is other than in the pack.
    #[serde(flatten)]
    pub change: Change,
}

/// What is other than in the pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Change {
    /// The step runs this script and nothing else.
    Replace(OwnScript),
    /// This script runs before it.
    Before(OwnScript),
    /// This script runs after it.
    After(OwnScript),
    /// It does not run.
    Skip,
    /// It runs with other settings.
    Set(Settings),
}

/// A script of SQL for one database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OwnScript {
    /// Its file's name, for people and for failures; without its ending, the name of the step that is put in.
    pub file: String,
    /// Its text.
    pub text: String,
    /// Whether one transaction holds all of it.
    #[serde(default = "yes")]
    pub transaction: bool,
}

/// Settings of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// It is broken off after this many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    /// Variables of a `run`, beside those of the pack or instead of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

const fn yes() -> bool {
    true
}

/// An override that cannot be, or that the pack has no place for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Misfit {
    /// The pack has no such step; it may have had one.
    #[error("the pack has no step `{0}`: remove the override, or add one for a step that it has")]
    NoStep(String),
    /// Whether a hop has arrived is not for an override to say.
    #[error("`{0}` sees that the hop has arrived, and stays as it is: put a script before it")]
    Arrival(String),
    /// Two steps of one name.
    #[error("there is a step `{0}` already: name the file otherwise")]
    Twice(String),
    /// Nothing, or too much, or unreadable.
    #[error("the script `{0}` is empty, longer than 1 MiB, or holds a NUL character")]
    Script(String),
    /// A file's name is part of a step's name.
    #[error("`{0}` is no name for a file: use letters, digits, `-`, `_` and `.`")]
    Name(String),
    /// There is nothing to set, or not on this step.
    #[error("{0}")]
    Settings(String),
}

impl Override {
    /// sha256 of what it says, in lower-case hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        // A struct of strings and numbers: it has always a form, and always the same.
        let text = serde_json::to_string(self).unwrap_or_default();
        Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The step that it is about: `17.0-18.0/partners`.
    #[must_use]
    pub fn target(&self) -> String {
        format!("{}/{}", self.hop, self.step)
    }

    /// The script that it brings, if it does.
    #[must_use]
    pub const fn script(&self) -> Option<&OwnScript> {
        match &self.change {
            Change::Replace(script) | Change::Before(script) | Change::After(script) => Some(script),
            Change::Skip | Change::Set(_) => None,
        }
    }

    /// Whether it is sound by itself, whatever pack it meets.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), Misfit> {
        if let Some(script) = self.script() {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if script.step().is_empty() || script.file.len() > 100 || !script.file.chars().all(plain) {
                return Err(Misfit::Name(script.file.clone()));
            }
            let empty = script.text.trim().is_empty();
            if empty || script.text.len() > MAX_SCRIPT_BYTES || script.text.contains('\0') {
                return Err(Misfit::Script(script.file.clone()));
            }
        }
        match &self.change {
            Change::Set(Settings { timeout_seconds: Some(0), .. }) => {
                Err(Misfit::Settings("a step needs a second at least".into()))
            }
            Change::Set(settings) if *settings == Settings::default() => {
                Err(Misfit::Settings("there is nothing to set: name a timeout or a variable".into()))
            }
            Change::Set(settings) => match settings.env.keys().find(|name| !is_variable(name)) {
                Some(name) => Err(Misfit::Settings(format!(
                    "`{name}` is not the name of a variable, or one of our own"
                ))),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Changes the steps of its hop. The steps of the pack's own hop may have been changed by others before.
    ///
    /// # Errors
    /// The pack has no place for it.
    pub fn apply(&self, steps: &mut Vec<Step>) -> Result<(), Misfit> {
        self.check()?;
        let target = self.target();
        let at = steps.iter().position(|step| step.id() == target);
        let at = at.ok_or_else(|| Misfit::NoStep(target.clone()))?;
        let arrival =
            matches!(&steps[at], Step::Engine(plan::Step { action: plan::Action::Arrive { .. }, .. }));
        if arrival && !matches!(self.change, Change::Before(_)) {
            return Err(Misfit::Arrival(target));
        }
        match &self.change {
            Change::Replace(script) => {
                let seconds = match &steps[at] {
                    Step::Engine(step) => step.timeout_seconds,
                    Step::Run(run) => run.timeout_seconds,
                };
                steps[at] = script.as_step(target, seconds);
            }
            Change::Before(script) => self.insert(script, at, steps)?,
            Change::After(script) => self.insert(script, at + 1, steps)?,
            Change::Skip => drop(steps.remove(at)),
            Change::Set(settings) => settings.apply(&mut steps[at])?,
        }
        Ok(())
    }

    /// Puts its script in as a step; where the pack does the very same by now, there is nothing to do.
    fn insert(&self, script: &OwnScript, at: usize, steps: &mut Vec<Step>) -> Result<(), Misfit> {
        let id = format!("{}/{}", self.hop, script.step());
        match steps.iter().find(|step| step.id() == id) {
            None => steps.insert(at, script.as_step(id, INSERTED_SECONDS)),
            Some(Step::Engine(plan::Step { script: there, .. })) if there.text == script.text => {}
            Some(_) => return Err(Misfit::Twice(id)),
        }
        Ok(())
    }
}

/// Changes hops, and the steps behind them, by a layer. What is about a hop that is not on the way changes nothing.
///
/// # Errors
/// The first override that the pack has no place for, by its place in the layer, and why.
pub fn apply(layer: &[Override], hops: &mut [Hop], custom: &mut Vec<Step>) -> Result<(), (usize, Misfit)> {
    for (index, change) in layer.iter().enumerate() {
        let steps = match hops.iter_mut().find(|hop| hop.name() == change.hop) {
            Some(hop) => &mut hop.steps,
            None if change.hop == "custom" && !custom.is_empty() => &mut *custom,
            None => continue,
        };
        change.apply(steps).map_err(|misfit| (index, misfit))?;
    }
    Ok(())
}

impl OwnScript {
    /// The name of the step that it is when it is put in.
    #[must_use]
    pub fn step(&self) -> &str {
        self.file.strip_suffix(".sql").unwrap_or(&self.file)
    }

    fn as_step(&self, id: String, timeout_seconds: u64) -> Step {
        Step::Engine(plan::Step {
            id,
            script: plan::Script { file: self.file.clone(), text: self.text.clone() },
            action: plan::Action::Sql { transaction: self.transaction },
            checkpoint: !self.transaction,
            timeout_seconds,
        })
    }
}

impl Settings {
    fn apply(&self, step: &mut Step) -> Result<(), Misfit> {
        match step {
            Step::Engine(step) => {
                if !self.env.is_empty() {
                    let message =
                        format!("`{}` runs SQL, which has no variables: set its timeout only", step.id);
                    return Err(Misfit::Settings(message));
                }
                step.timeout_seconds = self.timeout_seconds.unwrap_or(step.timeout_seconds);
            }
            Step::Run(run) => {
                run.timeout_seconds = self.timeout_seconds.unwrap_or(run.timeout_seconds);
                run.env.extend(self.env.clone());
            }
        }
        Ok(())
    }
}

/// `before 17.0-18.0/partners: fix.sql`.
impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target();
        match &self.change {
            Change::Replace(script) => write!(f, "instead of {target}: {}", script.file),
            Change::Before(script) => write!(f, "before {target}: {}", script.file),
            Change::After(script) => write!(f, "after {target}: {}", script.file),
            Change::Skip => write!(f, "without {target}"),
            Change::Set(settings) => {
                write!(f, "{target} with")?;
                if let Some(seconds) = settings.timeout_seconds {
                    write!(f, " {seconds} s")?;
                }
                settings.env.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pack;

    fn hops() -> Vec<Hop> {
        let manifest = r#"
product = "p"
title = "P"
targets = ["2.0"]
[detect]
requires = ["public.t"]
version = "SELECT 1"
[[hop]]
from = "1.0"
to = "2.0"
[[hop.step]]
name = "one"
sql = "one.sql"
[[hop.step]]
name = "two"
run = { image = "i:1", command = ["c"], env = { A = "1", B = "1" } }
"#;
        let files = [("pack.toml", manifest), ("one.sql", "SELECT 1;")];
        let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
        let pack = Pack::from_files(files.into()).unwrap();
        pack.path(&"1.0".parse().unwrap(), &"2.0".parse().unwrap()).unwrap()
    }

    fn script(file: &str) -> OwnScript {
        OwnScript { file: file.into(), text: "SELECT 2;".into(), transaction: true }
    }

    fn of(step: &str, change: Change) -> Override {
        Override { hop: "1.0-2.0".into(), step: step.into(), change }
    }

    fn applied(layer: &[Override]) -> Result<Vec<Step>, (usize, Misfit)> {
        let mut hops = hops();
        apply(layer, &mut hops, &mut Vec::new())?;
        Ok(hops.remove(0).steps)
    }

    fn ids(steps: &[Step]) -> Vec<&str> {
        steps.iter().map(|step| step.id().strip_prefix("1.0-2.0/").unwrap()).collect()
    }

    #[test]
    fn steps_are_replaced_put_in_left_out_and_set() {
        let env = BTreeMap::from([("B".to_owned(), "2".to_owned()), ("C".to_owned(), "3".to_owned())]);
        let layer = [
            of("one", Change::Replace(OwnScript { transaction: false, ..script("mine.sql") })),
            of("two", Change::Before(script("fix.sql"))),
            // About what an earlier one has put in.
            of("fix", Change::After(script("more.sql"))),
            of("arrived", Change::Before(script("last.sql"))),
            of("two", Change::Set(Settings { timeout_seconds: Some(7), env })),
        ];
        let steps = applied(&layer).unwrap();
        assert_eq!(ids(&steps), ["one", "fix", "more", "two", "last", "arrived"]);
        let Step::Engine(one) = &steps[0] else { panic!("{steps:?}") };
        assert_eq!((one.script.file.as_str(), one.script.text.as_str()), ("mine.sql", "SELECT 2;"));
        assert!(one.checkpoint && one.timeout_seconds == 3600, "it commits by itself");
        let Step::Run(two) = &steps[3] else { panic!("{steps:?}") };
        let env: Vec<_> = two.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!((two.timeout_seconds, env.join(" ").as_str()), (7, "A=1 B=2 C=3"));
        assert_eq!(ids(&applied(&[of("two", Change::Skip)]).unwrap()), ["one", "arrived"]);
    }

    #[test]
    fn what_does_not_fit_says_why() {
        let (skip, fix) = (Change::Skip, Change::Before(script("fix.sql")));
        let other = Change::Before(OwnScript { text: "SELECT 3;".into(), ..script("fix.sql") });
        let long = |seconds| Change::Set(Settings { timeout_seconds: Some(seconds), ..Settings::default() });
        let variable = |name: &str| {
            let env = BTreeMap::from([(name.to_owned(), "1".to_owned())]);
            Change::Set(Settings { env, ..Settings::default() })
        };
        for (layer, words) in [
            (vec![of("gone", skip.clone())], "no step `1.0-2.0/gone`"),
            (vec![of("one", skip.clone()), of("one", skip.clone())], "no step `1.0-2.0/one`"),
            (vec![of("arrived", skip)], "stays as it is"),
            (vec![of("one", fix), of("two", other)], "a step `1.0-2.0/fix` already"),
            (vec![of("one", Change::After(script("two.sql")))], "a step `1.0-2.0/two` already"),
            (vec![of("one", Change::After(script("../x.sql")))], "no name for a file"),
            (vec![of("one", Change::After(script(".sql")))], "no name for a file"),
            (vec![of("one", Change::After(OwnScript { text: " \n".into(), ..script("a.sql") }))], "is empty"),
            (vec![of("one", long(0))], "a second at least"),
            (vec![of("one", Change::Set(Settings::default()))], "nothing to set"),
            (vec![of("one", variable("A"))], "has no variables"),
            (
                vec![of("two", variable("PGHOST"))],
                "`PGHOST` is not the name of a variable, or one of our own",
            ),
        ] {
            let (index, misfit) = applied(&layer).unwrap_err();
            assert_eq!(index, layer.len() - 1);
            assert!(misfit.to_string().contains(words), "{misfit}");
        }
    }

    #[test]
    fn what_the_pack_does_by_now_is_not_done_twice() {
        let mut steps = hops().remove(0).steps;
        let one = of("two", Change::Before(OwnScript { text: "SELECT 1;".into(), ..script("one.sql") }));
        one.apply(&mut steps).unwrap();
        assert_eq!(ids(&steps), ["one", "two", "arrived"]);
    }

    #[test]
    fn another_hop_is_none_of_its_business_and_what_it_says_has_one_sum() {
        let elsewhere = Override { hop: "2.0-3.0".into(), ..of("one", Change::Skip) };
        assert_eq!(ids(&applied(std::slice::from_ref(&elsewhere)).unwrap()), ["one", "two", "arrived"]);
        let one = of("one", Change::Before(script("fix.sql")));
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<Override>(&text).unwrap(), one);
        assert_eq!(one.sha256(), one.clone().sha256());
        assert_ne!(one.sha256(), elsewhere.sha256());
        assert_eq!(one.to_string(), "before 1.0-2.0/one: fix.sql");
    }
}
