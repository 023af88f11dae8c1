//! Renews the certificate of a cluster in the order that leaves no gap.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::cluster::{Change, Held, Publication, Version};
use super::standing::Standing;
use super::{CertificateError, Cluster, Configuration, Renewal, Terms, issue};

/// How often to begin anew where others change the same objects.
const ATTEMPTS: usize = 8;

/// From one look for a configuration that is not there yet to the next.
const LOOK: Duration = Duration::from_millis(500);

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What became of the certificate.
    pub done: Done,
    /// Why a new one was made; empty where none was.
    pub why: String,
    /// Configurations that were made to trust other authorities.
    pub changed: Vec<Configuration>,
    /// Configurations that are not there: run it again when they are.
    pub missing: Vec<Configuration>,
}

/// What became of the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// It holds for long enough.
    Kept,
    /// It holds, and an authority of before is no longer trusted.
    Retired,
    /// There was no usable one.
    Issued,
    /// It was replaced while it held.
    Rotated,
}

/// Renews the certificate where it is due, and makes every configuration
/// trust it. Doing it twice, or from two places at once, does no harm.
///
/// Waits up to `wait` for configurations that are not there yet.
///
/// # Errors
/// [`CertificateError`]; what was done until then is completed by the next
/// run.
pub async fn rotate(
    cluster: &Cluster,
    terms: &Terms,
    renewal: Renewal,
    wait: Duration,
) -> Result<Outcome, CertificateError> {
    let until = Instant::now() + wait;
    let mut before = None;
    for _ in 0..ATTEMPTS {
        // what was asked for is done once, however often the rest is tried
        let renewal = if before.is_some() { Renewal::WhenDue } else { renewal };
        let run = Run { cluster, terms, now: Timestamp::now(), until };
        match run.attempt(renewal).await? {
            Attempt::Done(outcome) => return Ok(outcome.after(before)),
            Attempt::Again(achieved) => before = before.or(achieved),
        }
    }
    Err(CertificateError::Contended(ATTEMPTS))
}

struct Run<'a> {
    cluster: &'a Cluster,
    terms: &'a Terms,
    now: Timestamp,
    until: Instant,
}

enum Attempt {
    Done(Outcome),
    /// Somebody else was quicker; what this run achieved all the same.
    Again(Option<Outcome>),
}

impl Outcome {
    fn new(done: Done, why: String) -> Self {
        Self { done, why, changed: Vec::new(), missing: Vec::new() }
    }

    /// What this run and the one that it completes did together.
    fn after(mut self, before: Option<Self>) -> Self {
        if let Some(before) = before {
            (self.done, self.why) = (before.done, before.why);
            let more = before.changed.into_iter().filter(|one| !self.changed.contains(one));
            let more: Vec<_> = more.collect();
            self.changed.extend(more);
        }
        self
    }
}

impl Run<'_> {
    async fn attempt(&self, renewal: Renewal) -> Result<Attempt, CertificateError> {
        let held = self.cluster.secret().await?;
        let names = self.cluster.target.names();
        let later = self.now + self.terms.renew_before;
        match (held.material.standing(&names, self.now), held.material.standing(&names, later)) {
            (Standing::Fails(why), _) => self.first(&held, &names, why).await,
            (Standing::Holds { authority }, Standing::Fails(why)) => {
                self.replace(&held, &names, &authority, why).await
            }
            (Standing::Holds { authority }, Standing::Holds { .. }) => match renewal {
                Renewal::Now => {
                    self.replace(&held, &names, &authority, "asked for".to_owned()).await
                }
                Renewal::WhenDue => self.settle(&held, &authority).await,
            },
        }
    }

    /// Nothing that is served holds, so there is nothing to overlap with.
    async fn first(
        &self,
        held: &Held,
        names: &[String],
        why: String,
    ) -> Result<Attempt, CertificateError> {
        let issued = issue(names, self.terms.valid_for, self.now)?;
        let authorities = [issued.authority.clone()];
        let written = self.cluster.write(&held.version, &authorities, Some(&issued), self.now);
        let Change::Made(version) = written.await? else { return Ok(Attempt::Again(None)) };
        self.finish(&version, &authorities, Outcome::new(Done::Issued, why)).await
    }

    /// Trust first, use later.
    async fn replace(
        &self,
        held: &Held,
        names: &[String],
        in_use: &str,
        why: String,
    ) -> Result<Attempt, CertificateError> {
        let issued = issue(names, self.terms.valid_for, self.now)?;
        let mut authorities = held.material.kept(in_use);
        authorities.push(issued.authority.clone());
        let announced = self.cluster.write(&held.version, &authorities, None, self.now);
        let Change::Made(version) = announced.await? else { return Ok(Attempt::Again(None)) };
        let mut outcome = Outcome::new(Done::Rotated, why);
        // a configuration that is not there yet is nobody to wait for
        if self.publish(&authorities, Instant::now(), &mut outcome).await? == Published::Conflict {
            return Ok(Attempt::Again(None));
        }
        sleep(self.terms.settle).await;
        let written = self.cluster.write(&version, &authorities, Some(&issued), self.now);
        let Change::Made(version) = written.await? else { return Ok(Attempt::Again(None)) };
        self.finish(&version, &authorities, outcome).await
    }

    /// Nothing is due: retires what was replaced long enough ago, and makes
    /// every configuration follow the Secret.
    async fn settle(&self, held: &Held, in_use: &str) -> Result<Attempt, CertificateError> {
        let all = &held.material.authorities;
        let (done, left) = match held.changed {
            _ if all.len() == 1 => (Done::Kept, None),
            Some(changed) if self.now < changed + self.terms.overlap => (Done::Kept, None),
            Some(_) => (Done::Retired, Some(vec![in_use.to_owned()])),
            // no mark that can be read: the overlap begins now
            None => (Done::Kept, Some(all.clone())),
        };
        let outcome = Outcome::new(done, String::new());
        let Some(left) = left else { return self.finish(&held.version, all, outcome).await };
        let written = self.cluster.write(&held.version, &left, None, self.now);
        let Change::Made(version) = written.await? else { return Ok(Attempt::Again(None)) };
        self.finish(&version, &left, outcome).await
    }

    /// Makes the configurations follow, and looks whether the Secret is still
    /// the one that they followed: a run that was overtaken begins anew, so
    /// that the last one to publish is always one that saw the last change.
    async fn finish(
        &self,
        version: &Version,
        authorities: &[String],
        mut outcome: Outcome,
    ) -> Result<Attempt, CertificateError> {
        let published = self.publish(authorities, self.until, &mut outcome).await?;
        let overtaken = self.cluster.secret().await?.version != *version;
        Ok(match published {
            Published::Everywhere if !overtaken => Attempt::Done(outcome),
            Published::Everywhere | Published::Conflict => {
                let achieved = matches!(outcome.done, Done::Issued | Done::Rotated | Done::Retired);
                Attempt::Again(achieved.then_some(outcome))
            }
        })
    }

    /// Makes every configuration trust the authorities, and notes those that
    /// had to be changed and those that are missing.
    async fn publish(
        &self,
        authorities: &[String],
        until: Instant,
        outcome: &mut Outcome,
    ) -> Result<Published, CertificateError> {
        for configuration in &self.cluster.target.configurations {
            loop {
                match self.cluster.publish(configuration, authorities).await? {
                    Change::Made(Publication::Already) => {}
                    Change::Made(Publication::Changed) => {
                        outcome.changed.push(configuration.clone());
                    }
                    Change::Conflict => return Ok(Published::Conflict),
                    Change::Absent if Instant::now() < until => {
                        sleep(LOOK).await;
                        continue;
                    }
                    Change::Absent => outcome.missing.push(configuration.clone()),
                }
                break;
            }
        }
        outcome.changed.dedup();
        Ok(Published::Everywhere)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Published {
    /// Wherever there is a configuration.
    Everywhere,
    /// Somebody else changed one meanwhile.
    Conflict,
}
