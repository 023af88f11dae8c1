//! Renews the certificate of a cluster in the order that leaves no gap.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::cluster::{Held, Publication, Version};
use super::standing::Standing;
use super::wire::Change;
use super::{CertificateError, Configuration, Objects, Renewal, Terms, issue};

/// How often to begin anew where others change the same objects.
const ATTEMPTS: u32 = 8;

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
    objects: &Objects,
    terms: &Terms,
    renewal: Renewal,
    wait: Duration,
) -> Result<Outcome, CertificateError> {
    let mut run = Run { objects, terms, renewal, replaced: None, until: Instant::now() + wait };
    let mut before = None;
    for attempt in 0..ATTEMPTS {
        match run.attempt(Timestamp::now()).await? {
            Attempt::Done(outcome) => return Ok(outcome.after(before)),
            Attempt::Again(achieved) => before = before.or(achieved),
        }
        sleep(pause(attempt, terms.settle)).await;
    }
    Err(CertificateError::Contended(ATTEMPTS))
}

/// A while in which another run can finish: longer each time, and not the
/// same for all that wait.
fn pause(attempt: u32, settle: Duration) -> Duration {
    let longest = (settle + LOOK) * (attempt + 1);
    longest.mul_f64(f64::from(Timestamp::now().subsec_nanosecond()) / 1e9)
}

struct Run<'a> {
    objects: &'a Objects,
    terms: &'a Terms,
    renewal: Renewal,
    /// The certificate that was asked to be replaced, once it was read.
    replaced: Option<String>,
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
    async fn attempt(&mut self, now: Timestamp) -> Result<Attempt, CertificateError> {
        let held = self.objects.secret().await?;
        // what was asked for is done once, by whichever run
        let replaced = self.replaced.get_or_insert_with(|| held.material.certificate.clone());
        if *replaced != held.material.certificate {
            self.renewal = Renewal::WhenDue;
        }
        let names = self.objects.target.names();
        let later = now + self.terms.renew_before;
        match (held.material.standing(&names, now), held.material.standing(&names, later)) {
            (Standing::Fails(why), _) => match held.material.in_use(&names, now) {
                Some(authority) => self.replace(&held, &authority, now, why).await,
                None => self.first(&held, &names, now, why).await,
            },
            (Standing::Holds { authority }, Standing::Fails(why)) => {
                self.replace(&held, &authority, now, why).await
            }
            (Standing::Holds { authority }, Standing::Holds { .. }) => match self.renewal {
                Renewal::Now => self.replace(&held, &authority, now, "asked for".to_owned()).await,
                Renewal::WhenDue => self.settle(&held, &authority, now).await,
            },
        }
    }

    /// Nothing that is served holds, so there is nothing to overlap with.
    async fn first(
        &self,
        held: &Held,
        names: &[String],
        now: Timestamp,
        why: String,
    ) -> Result<Attempt, CertificateError> {
        let issued = issue(names, self.terms.valid_for, now)?;
        let authorities = [issued.authority.clone()];
        let written = self.objects.write(&held.version, &authorities, Some(&issued), now);
        let Change::Made(version) = written.await? else { return Ok(Attempt::Again(None)) };
        self.finish(&version, &authorities, Outcome::new(Done::Issued, why)).await
    }

    /// Trust first, use later.
    async fn replace(
        &self,
        held: &Held,
        in_use: &str,
        now: Timestamp,
        why: String,
    ) -> Result<Attempt, CertificateError> {
        let names = self.objects.target.names();
        let issued = issue(&names, self.terms.valid_for, now)?;
        let mut authorities = held.material.kept(in_use);
        authorities.push(issued.authority.clone());
        let announced = self.objects.write(&held.version, &authorities, None, now);
        let Change::Made(version) = announced.await? else { return Ok(Attempt::Again(None)) };
        let mut outcome = Outcome::new(Done::Rotated, why);
        // a configuration that is not there yet is nobody to wait for
        if self.publish(&authorities, Instant::now(), &mut outcome).await? == Published::Conflict {
            return Ok(Attempt::Again(None));
        }
        sleep(self.terms.settle).await;
        let written = self.objects.write(&version, &authorities, Some(&issued), now);
        let Change::Made(version) = written.await? else { return Ok(Attempt::Again(None)) };
        self.finish(&version, &authorities, outcome).await
    }

    /// Nothing is due: retires what was replaced long enough ago, and makes
    /// every configuration follow the Secret.
    async fn settle(
        &self,
        held: &Held,
        in_use: &str,
        now: Timestamp,
    ) -> Result<Attempt, CertificateError> {
        let all = &held.material.authorities;
        let (done, left) = match held.changed {
            _ if all.len() == 1 => (Done::Kept, None),
            Some(changed) if now < changed + self.terms.overlap => (Done::Kept, None),
            Some(_) => (Done::Retired, Some(vec![in_use.to_owned()])),
            // no mark that can be read: the overlap begins now
            None => (Done::Kept, Some(all.clone())),
        };
        let outcome = Outcome::new(done, String::new());
        let Some(left) = left else { return self.finish(&held.version, all, outcome).await };
        let written = self.objects.write(&held.version, &left, None, now);
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
        let overtaken = self.objects.secret().await?.version != *version;
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
        for configuration in &self.objects.target.configurations {
            loop {
                match self.objects.publish(configuration, authorities).await? {
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
