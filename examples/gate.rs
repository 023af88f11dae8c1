//! A runtime gates a pull: `cargo run --example gate -- POLICY IMAGE [NAME]`.
//!
//! What pulls takes an [`Admitted`], so it cannot be called with an image
//! that was not checked: only an allowing verdict yields one.

use std::path::Path;

use jiff::Timestamp;
use ocisign::engine::{Access, Ask, Engine, Image, block_on};
use ocisign::image::Source;
use ocisign::limits::Limits;
use ocisign::policy::Admitted;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(policy), Some(image)) = (arguments.next(), arguments.next()) else {
        return Err("usage: gate POLICY IMAGE [NAME]".into());
    };
    let name = arguments.next().map(|name| name.parse()).transpose()?;

    // the five lines
    let limits = Limits::default();
    let engine = Engine::load(Path::new(&policy), &limits)?;
    let image = Image::open(&Source::parse(&image)?, name, &Access::default(), &limits)?;
    let verdict = block_on(engine.check(&image, &Ask::default(), Timestamp::now()))?;
    let admitted = verdict.admit().map_err(|verdict| verdict.summary)?;

    pull(&admitted);
    Ok(())
}

/// Stands for the runtime's own pull, by digest and never by tag.
fn pull(image: &Admitted) {
    println!("pulling {}", image.reference());
}
