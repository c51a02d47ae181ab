//! `env.example` and the code agree: same names, same defaults, in both directions.

use std::collections::BTreeSet;

use camera_capture::config::{Config, Env, VARIABLES};

const EXAMPLE: &str = include_str!("../../env.example");

/// The settings of the example, commented out or not; a comment with a space behind `#` is prose.
fn settings() -> Vec<(&'static str, &'static str)> {
    EXAMPLE
        .lines()
        .map(|line| line.strip_prefix('#').unwrap_or(line))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()))
        .filter_map(|line| line.split_once('='))
        .collect()
}

/// Every name the table has for cameras 1 to 3, with its default.
fn defaults() -> Vec<(String, String)> {
    let numbers = |per_camera| if per_camera { 1..=3_u8 } else { 1..=1 };
    VARIABLES
        .iter()
        .flat_map(|variable| numbers(variable.is_per_camera()).map(move |n| (variable, n)))
        .map(|(variable, n)| (variable.name_for(n), variable.default_for(n).unwrap_or_default()))
        .collect()
}

#[test]
fn every_variable_stands_in_the_example_with_its_default() {
    let settings = settings();
    // Cameras 2 and 3 show only what differs between cameras.
    for (name, default) in
        defaults().iter().filter(|(name, _)| !name.contains("_2_") && !name.contains("_3_"))
    {
        let shown = settings.iter().find(|(shown, _)| shown == name);
        assert_eq!(shown.map(|(_, value)| *value), Some(default.as_str()), "{name}");
    }
}

#[test]
fn every_setting_of_the_example_is_a_variable_with_its_default() {
    let defaults = defaults();
    let mut seen = BTreeSet::new();
    for (name, value) in settings() {
        let default = defaults.iter().find(|(known, _)| known == name);
        assert_eq!(default.map(|(_, default)| default.as_str()), Some(value), "{name}");
        assert!(seen.insert(name), "{name} stands twice");
    }
}

#[test]
fn the_example_as_it_is_and_with_every_line_switched_on_is_a_valid_file() {
    let switched_on: String = EXAMPLE
        .lines()
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
                .unwrap_or(line)
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    for content in [EXAMPLE, &switched_on] {
        let (_, warnings) = Config::parse(&Env::from_file(content.as_bytes(), "env.example")).unwrap();
        assert_eq!(warnings, []);
    }
}
