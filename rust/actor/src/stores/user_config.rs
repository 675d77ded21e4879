//! How a user wants their agents to run: `user-config`.

use treering_block::Cid;
use treering_thread::command::Payload;

use super::{NAME_BYTES_MAX, Stores, Verb, check_length};
use crate::dispatch::Done;
use crate::error::Result;
use crate::kind::{Blocks, Happened, Kind, State, Unreadable, events};
use crate::messages::{
    Encoding, LlmPreferences, Name, UserConfig, UserConfigSaved, UserConfigUpdated,
};

/// Where a local runtime is looked for, unless somebody says otherwise.
pub const LOCAL_RUNTIME_BASE_URL: &str = "http://127.0.0.1:5080";
/// What stands before a route that is only a name.
const ROUTE_PREFIX: &str = "/api/v1/proxy/s/";
/// UTF-8 bytes of a URL.
const URL_BYTES_MAX: usize = 2048;

events! {
    /// What happens to it.
    UserConfigEvent: UserConfigSaved, UserConfigUpdated
}

/// See the top of this file.
#[derive(Debug)]
pub struct UserConfigKind;

impl Kind for UserConfigKind {
    const NAME: &'static str = "user-config";
    type State = UserConfig;
    type Event = UserConfigEvent;

    fn evolve(state: &mut UserConfig, happened: &Happened<UserConfigEvent>) {
        match &happened.event {
            UserConfigEvent::UserConfigSaved(saved) => {
                *state = saved.config.clone().unwrap_or_default();
            }
            UserConfigEvent::UserConfigUpdated(updated) => {
                let updated = updated.clone();
                let put = |field: &mut String, value: Option<String>| {
                    if let Some(value) = value {
                        *field = value;
                    }
                };
                put(&mut state.default_model, updated.default_model);
                put(&mut state.preferred_llm_route, updated.preferred_llm_route);
                put(&mut state.runtime_mode, updated.runtime_mode);
                put(
                    &mut state.local_runtime_base_url,
                    updated.local_runtime_base_url,
                );
                put(
                    &mut state.remote_runtime_base_url,
                    updated.remote_runtime_base_url,
                );
                put(&mut state.github_username, updated.github_username);
                if let Some(rounds) = updated.max_tool_rounds {
                    state.max_tool_rounds = rounds;
                }
            }
        }
    }
}

impl State for UserConfig {
    const IN_BLOCKS: bool = false;

    fn type_name() -> String {
        Self::full_name()
    }

    fn save(&mut self, _: &mut Blocks<'_>) -> Result<(Vec<u8>, Vec<Cid>)> {
        Ok((self.encode_to_vec(), Vec::new()))
    }

    fn load(message: &[u8], _: &[Cid]) -> Result<Self, Unreadable> {
        Ok(Self::decode(message)?)
    }

    fn weight(&self) -> usize {
        size_of::<Self>() + self.encoded_len()
    }
}

/// What stands where a user said nothing.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Of the local runtime.
    pub local_runtime_base_url: String,
    /// Of the remote one.
    pub remote_runtime_base_url: String,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            local_runtime_base_url: LOCAL_RUNTIME_BASE_URL.to_owned(),
            remote_runtime_base_url: String::new(),
        }
    }
}

impl Defaults {
    /// The configuration of who never wrote one.
    pub fn config(&self) -> UserConfig {
        UserConfig {
            runtime_mode: "local".to_owned(),
            local_runtime_base_url: self.local_runtime_base_url.clone(),
            remote_runtime_base_url: self.remote_runtime_base_url.clone(),
            ..UserConfig::default()
        }
    }

    fn normal(&self, config: UserConfig) -> UserConfig {
        UserConfig {
            preferred_llm_route: normal_route(&config.preferred_llm_route),
            runtime_mode: normal_mode(&config.runtime_mode),
            local_runtime_base_url: normal_url(
                &config.local_runtime_base_url,
                &self.local_runtime_base_url,
            ),
            remote_runtime_base_url: normal_url(
                &config.remote_runtime_base_url,
                &self.remote_runtime_base_url,
            ),
            ..config
        }
    }
}

/// "remote", however it is written, is remote; anything else is local.
fn normal_mode(mode: &str) -> String {
    let remote = mode.trim().eq_ignore_ascii_case("remote");
    if remote { "remote" } else { "local" }.to_owned()
}

fn normal_url(url: &str, default: &str) -> String {
    match url.trim() {
        "" => default.to_owned(),
        url => url.trim_end_matches('/').to_owned(),
    }
}

/// "" for what leaves the choice to the gateway, or leads away from it; a path as it is; a name as the path to it.
pub(crate) fn normal_route(route: &str) -> String {
    let route = route.trim();
    let gateway = ["", "auto", "gateway"]
        .iter()
        .any(|word| route.eq_ignore_ascii_case(word));
    if gateway || route.starts_with("//") || route.contains("://") {
        String::new()
    } else if route.starts_with('/') {
        route.to_owned()
    } else {
        format!("{ROUTE_PREFIX}{}", route.trim_matches('/'))
    }
}

fn check(config: &UserConfig) -> Result<()> {
    check_length(
        "bytes of default_model",
        &config.default_model,
        NAME_BYTES_MAX,
    )?;
    check_length(
        "bytes of preferred_llm_route",
        &config.preferred_llm_route,
        URL_BYTES_MAX,
    )?;
    check_length(
        "bytes of runtime_mode",
        &config.runtime_mode,
        NAME_BYTES_MAX,
    )?;
    check_length(
        "bytes of local_runtime_base_url",
        &config.local_runtime_base_url,
        URL_BYTES_MAX,
    )?;
    check_length(
        "bytes of remote_runtime_base_url",
        &config.remote_runtime_base_url,
        URL_BYTES_MAX,
    )?;
    check_length(
        "bytes of github_username",
        &config.github_username,
        NAME_BYTES_MAX,
    )?;
    Ok(())
}

/// Replaces all fields.
///
/// # Errors
/// `LimitExceeded` for a field that is too long.
pub fn save(stores: &Stores, defaults: &Defaults, config: UserConfig) -> Result<Verb> {
    check(&config)?;
    let mut payload = Payload::new("user-config save");
    payload.bytes(&config.encode_to_vec());
    let config = defaults.normal(config);
    let never = defaults.config();
    let address = stores.address::<UserConfigKind>(&[])?;
    Ok(Verb::new::<UserConfigKind>(
        address,
        payload,
        move |turn, address| {
            let before = turn.load::<UserConfigKind>(address)?;
            let same = if before.exists() {
                before.state == config
            } else {
                never == config
            };
            if !same {
                let saved = UserConfigSaved {
                    config: Some(config.clone()),
                };
                turn.append::<UserConfigKind>(address, [saved.into()])?;
            }
            Ok(Done::default())
        },
    ))
}

/// Replaces the fields that are given.
///
/// # Errors
/// As for [`save`].
pub fn update(stores: &Stores, defaults: &Defaults, fields: UserConfigUpdated) -> Result<Verb> {
    let mut payload = Payload::new("user-config update");
    payload.bytes(&fields.encode_to_vec());
    let mut given = UserConfig::default();
    UserConfigKind::evolve(&mut given, &fields.clone().into());
    check(&given)?;
    let normal = defaults.normal(given);
    let fields = UserConfigUpdated {
        preferred_llm_route: fields
            .preferred_llm_route
            .map(|_| normal.preferred_llm_route),
        runtime_mode: fields.runtime_mode.map(|_| normal.runtime_mode),
        local_runtime_base_url: fields
            .local_runtime_base_url
            .map(|_| normal.local_runtime_base_url),
        remote_runtime_base_url: fields
            .remote_runtime_base_url
            .map(|_| normal.remote_runtime_base_url),
        ..fields
    };
    let never = defaults.config();
    let address = stores.address::<UserConfigKind>(&[])?;
    Ok(Verb::new::<UserConfigKind>(
        address,
        payload,
        move |turn, address| {
            let before = turn.load::<UserConfigKind>(address)?;
            let was = if before.exists() {
                &before.state
            } else {
                &never
            };
            let mut after = was.clone();
            UserConfigKind::evolve(&mut after, &fields.clone().into());
            if after == *was {
                return Ok(Done::default());
            }
            if before.exists() {
                turn.append::<UserConfigKind>(address, [fields.clone().into()])?;
            } else {
                // The defaults of then are what the other fields are from now on.
                let saved = UserConfigSaved {
                    config: Some(after),
                };
                turn.append::<UserConfigKind>(address, [saved.into()])?;
            }
            Ok(Done::default())
        },
    ))
}

/// What of it is about language models.
pub fn llm_preferences(config: &UserConfig) -> LlmPreferences {
    LlmPreferences {
        default_model: config.default_model.clone(),
        preferred_route: normal_route(&config.preferred_llm_route),
        max_tool_rounds: config.max_tool_rounds,
    }
}
