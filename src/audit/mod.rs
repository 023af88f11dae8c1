//! Many images at once: what would this policy deny?
//!
//! ```text
//! list ───┐
//!         ├─► plan ─► shard ─► earlier log ─► gate ─► record ─► log ─► report
//! cluster ┘   names    I/N     skips what     N at a    one      JSON   table, JUnit,
//!             users            was decided    time      line     lines  SARIF
//! ```
//!
//! The log is the one product: a header, one line for each image, a summary.
//! It is written as answers come, so a run that was killed goes on where it
//! ended, and every report is made from it.

mod book;
mod cause;
mod cluster;
#[cfg(feature = "cli")]
mod junit;
mod lines;
mod list;
mod log;
mod plan;
mod record;
mod run;
mod sarif;
mod session;
mod shard;
mod table;
mod tally;

pub use book::{Book, Entry};
pub use cause::{Cause, Class};
pub use cluster::from_cluster;
#[cfg(feature = "cli")]
pub use junit::junit;
pub use list::{ListError, read_list};
pub use log::{Header, Input, Log, LogError, Unlisted, Writer};
pub use plan::{Access, Item, Name, Plan, PlanError, User, Users};
pub use record::Record;
pub use run::{End, Options, run};
pub use sarif::sarif;
pub use session::{Session, open};
pub use shard::{Shard, ShardError};
pub use table::{headline, table};
pub use tally::{Group, Shown, Tally, Totals};
