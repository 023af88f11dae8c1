//! Taking files that changed: each of them whole, or what was there before.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::{App, Settings};
use crate::engine::Engine;
use crate::webhook::Error;
use crate::webhook::metrics::{PolicyLabels, ResultLabel};
use crate::webhook::reload::{CertificateFiles, Look, PolicyFiles, TableFile, Watched};
use crate::webhook::review::Table;
use crate::webhook::tls::Identity;

/// Everything that is read from files while the server runs.
pub(super) struct Watch {
    policy: Watched<PolicyFiles>,
    certificate: Watched<CertificateFiles>,
    resources: Option<Watched<TableFile>>,
}

/// What the first reading gave.
pub(super) struct First {
    pub(super) engine: Engine,
    pub(super) identity: Identity,
    pub(super) table: Table,
}

/// Why files are not taken, until they are.
#[derive(Default)]
pub(super) struct Refused(Mutex<[Option<String>; 3]>);

/// What was looked at.
#[derive(Debug, Clone, Copy)]
enum What {
    Policy,
    Certificate,
    Resources,
}

impl Watch {
    /// Reads everything for the first time.
    pub(super) fn first(settings: &Settings) -> Result<(Self, First), Error> {
        let limits = &settings.limits;
        let policy = PolicyFiles { path: settings.policy.clone(), limits: limits.clone() };
        let files = CertificateFiles { files: settings.tls.clone(), limits: limits.clone() };
        let (policy, engine) = Watched::first(policy)?;
        let (certificate, identity) = Watched::first(files)?;
        let (resources, table) = match &settings.resources {
            None => (None, Table::built_in(limits)),
            Some(path) => {
                let file = TableFile { path: path.clone(), limits: limits.clone() };
                let (watched, table) = Watched::first(file)?;
                (Some(watched), table)
            }
        };
        Ok((Self { policy, certificate, resources }, First { engine, identity, table }))
    }

    /// Looks again and again, and at once where somebody asks for it.
    pub(super) async fn run(mut self, app: Arc<App>) {
        loop {
            let look = tokio::select! {
                () = tokio::time::sleep(app.settings.reload_every) => Look::Changed,
                () = app.look.notified() => Look::Anyway,
            };
            let taking = Arc::clone(&app);
            // files may lie on a slow disk, and keys take time to parse
            let looked = tokio::task::spawn_blocking(move || {
                self.look(look, &taking);
                self
            });
            match looked.await {
                Ok(watch) => self = watch,
                Err(_) => {
                    app.metrics.panics.inc();
                    return app
                        .log
                        .event("reload-ended", "files are not looked at any more; restart");
                }
            }
        }
    }

    fn look(&mut self, look: Look, app: &App) {
        if let Some(read) = self.policy.look(look) {
            app.took(What::Policy, read.map(|engine| app.take_policy(engine)));
        }
        if let Some(read) = self.certificate.look(look) {
            app.took(What::Certificate, read.map(|identity| app.take_certificate(&identity)));
        }
        if let Some(read) = self.resources.as_mut().and_then(|file| file.look(look)) {
            app.took(What::Resources, read.map(|table| app.take_table(table)));
        }
    }
}

impl Refused {
    /// All of them.
    pub(super) fn all(&self) -> Vec<String> {
        self.lock().iter().flatten().cloned().collect()
    }

    fn set(&self, what: What, why: Option<String>) {
        if let Some(place) = self.lock().get_mut(what as usize) {
            *place = why;
        }
    }

    fn lock(&self) -> MutexGuard<'_, [Option<String>; 3]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl App {
    fn took(&self, what: What, read: Result<String, Error>) {
        let (reloads, event) = match what {
            What::Policy => (&self.metrics.policy_reloads, "policy"),
            What::Certificate => (&self.metrics.certificate_reloads, "certificate"),
            What::Resources => (&self.metrics.resources_reloads, "resources"),
        };
        let result = if read.is_ok() { "taken" } else { "refused" };
        reloads.get_or_create(&ResultLabel { result }).inc();
        let (told, refused) = match read {
            Ok(told) => (told, None),
            Err(error) => {
                let told = format!("what was there before stays in place: {error}");
                (told, Some(format!("{event}: {error}")))
            }
        };
        self.log.event(&format!("{event}-{result}"), &told);
        self.refused.set(what, refused);
    }

    fn take_policy(&self, engine: Engine) -> String {
        let (old, new) = (self.gate.engine(), engine.policy().document());
        let older = old.policy().document().serial.zip(new.serial);
        let mut told = format!("`{}`, {}", new.name, new.digest);
        if older.is_some_and(|(old, new)| new < old) {
            told.push_str("; its serial is lower than that of the one before");
        }
        self.tell_policy(&engine);
        self.gate.replace(engine);
        told
    }

    fn take_certificate(&self, identity: &Identity) -> String {
        self.tls.send_replace(Arc::clone(&identity.config));
        self.tell_certificate(identity)
    }

    fn take_table(&self, table: Table) -> String {
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
        "reviews are read with it from now on".to_owned()
    }

    /// Shows the policy in metrics.
    pub(super) fn tell_policy(&self, engine: &Engine) {
        let document = engine.policy().document();
        let labels = PolicyLabels {
            name: document.name.clone(),
            serial: document.serial.map(|serial| serial.to_string()).unwrap_or_default(),
            digest: document.digest.to_string(),
        };
        self.metrics.policy.clear();
        self.metrics.policy.get_or_create(&labels).set(1);
        self.metrics.policy_expiry.set(document.expires.map_or(0, Timestamp::as_second));
    }

    /// Shows the certificate in metrics, and says until when it holds.
    pub(super) fn tell_certificate(&self, identity: &Identity) -> String {
        self.metrics.certificate_expiry.set(identity.expires.as_second());
        let now = Timestamp::now();
        let (begins, expires) = (identity.begins, identity.expires);
        if now < begins {
            return format!("it holds from {begins} on, so nobody will connect before");
        }
        if expires <= now {
            return format!("it ended at {expires}, so nobody will connect; issue it anew");
        }
        format!("it holds until {expires}")
    }
}
