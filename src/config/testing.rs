//! Shorthand for the tests of the sections.

use super::target::ApiTargetConfig;
use super::{Config, Env, Problems, TargetSettings, Warning};
use crate::model::TargetId;

fn parse(pairs: &[(&str, &str)]) -> Result<(Config, Vec<Warning>), Problems> {
    Config::parse(&Env::from_pairs(pairs.iter().copied()))
}

/// The configuration from these pairs.
pub(super) fn config(pairs: &[(&str, &str)]) -> Config {
    parse(pairs).unwrap().0
}

/// The warnings these pairs lead to.
pub(super) fn warnings(pairs: &[(&str, &str)]) -> Vec<String> {
    parse(pairs).unwrap().1.iter().map(ToString::to_string).collect()
}

/// The problems of these pairs.
pub(super) fn problems(pairs: &[(&str, &str)]) -> Vec<String> {
    parse(pairs).unwrap_err().iter().map(ToString::to_string).collect()
}

/// The one problem of these pairs.
pub(super) fn problem(pairs: &[(&str, &str)]) -> String {
    let mut list = problems(pairs);
    assert_eq!(list.len(), 1, "{list:#?}");
    list.remove(0)
}

/// The first HTTP API of a configuration.
pub(super) fn api_of(config: &Config) -> ApiTargetConfig {
    match &config.upload.target(TargetId::API).unwrap().settings {
        TargetSettings::Api(api) => api.clone(),
        other => panic!("{other:?}"),
    }
}

/// The first HTTP API that these pairs configure.
pub(super) fn api(pairs: &[(&str, &str)]) -> ApiTargetConfig {
    api_of(&config(pairs))
}
