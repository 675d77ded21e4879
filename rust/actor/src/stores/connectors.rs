//! What agents may call: `connector-catalog`.
//!
//! The part of a connector's type is checked as a whole; the parts of other types are kept as they are said, normalised
//! and without secrets in clear, so that somebody may switch between them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::catalog::{Catalog, CatalogKind, Item, Limited, names};
use super::secrets::{check_lists, check_secret, check_url, check_urls, check_values, shown};
use super::{NAME_BYTES_MAX, check_text};
use crate::error::{ActorError, Result};
use crate::kind::{Happened, Kind, Unreadable, events};
use crate::messages::{
    CliConnector, Connector, ConnectorAuth, ConnectorDraft, ConnectorDraftDeleted,
    ConnectorDraftSaved, ConnectorsSaved, ConnectorsState, Encoding, HttpConnector, McpConnector,
    Name, TextOrSecret,
};

/// What a call may take where nobody said it, milliseconds.
const TIMEOUT_MS: i64 = 30_000;
/// The least and the most that somebody may say, milliseconds.
const TIMEOUTS_MS: [i64; 2] = [100, 300_000];
/// How often a failed call is tried again at most.
const RETRIES_MAX: i64 = 5;
const CLIENT_CREDENTIALS: &str = "client_credentials";

events! {
    /// What happens to it.
    ConnectorsEvent: ConnectorsSaved, ConnectorDraftSaved, ConnectorDraftDeleted
}

/// See the top of this file.
#[derive(Debug)]
pub struct ConnectorsKind;

impl Kind for ConnectorsKind {
    const NAME: &'static str = "connector-catalog";
    type State = Catalog<Connector>;
    type Event = ConnectorsEvent;

    fn evolve(state: &mut Self::State, happened: &Happened<ConnectorsEvent>) {
        match &happened.event {
            ConnectorsEvent::ConnectorsSaved(saved) => state.replace(&saved.connectors),
            ConnectorsEvent::ConnectorDraftSaved(saved) => state.set_draft(saved.draft.as_ref()),
            ConnectorsEvent::ConnectorDraftDeleted(_) => state.set_draft(None),
        }
    }
}

impl CatalogKind for ConnectorsKind {
    type Item = Connector;

    fn saved(connectors: Vec<Connector>) -> Happened<ConnectorsEvent> {
        ConnectorsSaved { connectors }.into()
    }

    fn draft_saved(draft: ConnectorDraft) -> Happened<ConnectorsEvent> {
        ConnectorDraftSaved { draft: Some(draft) }.into()
    }

    fn draft_deleted() -> Happened<ConnectorsEvent> {
        ConnectorDraftDeleted {}.into()
    }
}

impl Item for Connector {
    type Draft = ConnectorDraft;
    const ITEMS: &'static str = "connectors";
    const KEY: &'static str = "name";
    const LIMITED: Limited = Limited {
        items: "connectors of a catalog",
        item: "bytes of a connector",
        catalog: "bytes of a catalog of connectors",
    };

    fn key(&self) -> &str {
        &self.name
    }

    fn normal(self) -> Self {
        Self {
            name: trimmed(&self.name),
            r#type: self.r#type.trim().to_lowercase(),
            enabled: self.enabled,
            timeout_ms: match self.timeout_ms {
                ..=0 => TIMEOUT_MS,
                given => given.clamp(TIMEOUTS_MS[0], TIMEOUTS_MS[1]),
            },
            retry: self.retry.clamp(0, RETRIES_MAX),
            http: boxed(self.http, normal_http),
            cli: boxed(self.cli, normal_cli),
            mcp: boxed(self.mcp, normal_mcp),
        }
    }

    fn check(&self, at: &str) -> Result<()> {
        if self.name.is_empty() {
            return Err(ActorError::invalid(format!("{at}.name"), "", "it is blank"));
        }
        check_text("name", &self.name, NAME_BYTES_MAX)?;
        match self.r#type.as_str() {
            "http" => check_http(&format!("{at}.http"), self.http.as_deref()),
            "cli" => check_cli(&format!("{at}.cli"), self.cli.as_deref()),
            "mcp" => check_mcp(&format!("{at}.mcp"), self.mcp.as_deref()),
            other => Err(ActorError::invalid(
                format!("{at}.type"),
                other,
                "it is one of: http cli mcp",
            )),
        }
    }

    /// Of every field: one that comes to be does not compile before it is asked here.
    fn check_secrets(&self, at: &str) -> Result<()> {
        let Self {
            name,
            r#type,
            enabled: _,
            timeout_ms: _,
            retry: _,
            http,
            cli,
            mcp,
        } = self;
        check_urls(&format!("{at}.name"), name)?;
        check_urls(&format!("{at}.type"), r#type)?;
        check_part(http.as_deref(), &format!("{at}.http"), http_secrets)?;
        check_part(cli.as_deref(), &format!("{at}.cli"), cli_secrets)?;
        check_part(mcp.as_deref(), &format!("{at}.mcp"), mcp_secrets)
    }

    fn draft(item: Option<Self>, updated_at_ms: i64) -> ConnectorDraft {
        ConnectorDraft {
            item: item.map(Box::new),
            updated_at_ms,
        }
    }

    fn state_name() -> String {
        ConnectorsState::full_name()
    }

    fn state(catalog: &Catalog<Self>) -> Vec<u8> {
        let state = ConnectorsState {
            connectors: catalog.items.to_vec(),
            saved: catalog.saved,
            draft: catalog.draft.as_deref().cloned().map(Box::new),
        };
        state.encode_to_vec()
    }

    fn of_state(message: &[u8]) -> Result<Catalog<Self>, Unreadable> {
        let state = ConnectorsState::decode(message)?;
        Ok(Catalog {
            items: Arc::new(state.connectors),
            saved: state.saved,
            draft: state.draft.map(|draft| (*draft).into()),
        })
    }
}

fn boxed<T>(part: Option<Box<T>>, normal: impl Fn(T) -> T) -> Option<Box<T>> {
    part.map(|part| Box::new(normal(*part)))
}

fn trimmed(text: &str) -> String {
    text.trim().to_owned()
}

/// Without those that have no name; where a secret is found, there is no text.
fn normal_values(values: BTreeMap<String, TextOrSecret>) -> BTreeMap<String, TextOrSecret> {
    let named = values
        .into_iter()
        .filter(|(name, _)| !name.trim().is_empty());
    let one = |(name, value): (String, TextOrSecret)| match value.secret {
        None => (name, value),
        secret => (
            name,
            TextOrSecret {
                text: String::new(),
                secret,
            },
        ),
    };
    named.map(one).collect()
}

fn normal_auth(auth: ConnectorAuth) -> ConnectorAuth {
    ConnectorAuth {
        r#type: auth.r#type.trim().to_lowercase(),
        token_url: trimmed(&auth.token_url),
        client_id: trimmed(&auth.client_id),
        ..auth
    }
}

fn normal_http(http: HttpConnector) -> HttpConnector {
    let methods = http
        .allowed_methods
        .iter()
        .map(|method| method.to_uppercase());
    HttpConnector {
        base_url: trimmed(&http.base_url),
        allowed_methods: names(methods.collect()),
        allowed_paths: names(http.allowed_paths),
        allowed_input_keys: names(http.allowed_input_keys),
        default_headers: normal_values(http.default_headers),
        auth: boxed(http.auth, normal_auth),
    }
}

fn normal_cli(cli: CliConnector) -> CliConnector {
    CliConnector {
        command: trimmed(&cli.command),
        allowed_operations: names(cli.allowed_operations),
        allowed_input_keys: names(cli.allowed_input_keys),
        environment: normal_values(cli.environment),
        ..cli
    }
}

fn normal_mcp(mcp: McpConnector) -> McpConnector {
    McpConnector {
        server_name: trimmed(&mcp.server_name),
        command: trimmed(&mcp.command),
        url: trimmed(&mcp.url),
        environment: normal_values(mcp.environment),
        additional_headers: normal_values(mcp.additional_headers),
        auth: boxed(mcp.auth, normal_auth),
        default_tool: trimmed(&mcp.default_tool),
        allowed_tools: names(mcp.allowed_tools),
        allowed_input_keys: names(mcp.allowed_input_keys),
        ..mcp
    }
}

fn check_http(at: &str, http: Option<&HttpConnector>) -> Result<()> {
    let absent = HttpConnector::default();
    let http = http.unwrap_or(&absent);
    check_absolute(format!("{at}.base_url"), &http.base_url)?;
    check_auth(at, http.auth.as_deref(), true)
}

fn check_cli(at: &str, cli: Option<&CliConnector>) -> Result<()> {
    let command = cli.map_or("", |cli| &cli.command);
    let rule = match command {
        "" => "it is blank",
        command if command.contains("://") => "it is a program, not a URL",
        _ => return Ok(()),
    };
    Err(ActorError::invalid(
        format!("{at}.command"),
        shown(command),
        rule,
    ))
}

fn check_mcp(at: &str, mcp: Option<&McpConnector>) -> Result<()> {
    let absent = McpConnector::default();
    let mcp = mcp.unwrap_or(&absent);
    if mcp.command.is_empty() && mcp.url.is_empty() {
        let rule = "it is blank, and so is url: one of them is needed";
        return Err(ActorError::invalid(format!("{at}.command"), "", rule));
    }
    if !mcp.url.is_empty() {
        check_absolute(format!("{at}.url"), &mcp.url)?;
    }
    check_auth(at, mcp.auth.as_deref(), !mcp.url.is_empty())
}

/// `has_url`: whether there is something that a token could be for.
fn check_auth(at: &str, auth: Option<&ConnectorAuth>, has_url: bool) -> Result<()> {
    let Some(auth) = auth.filter(|auth| !auth.r#type.is_empty()) else {
        return Ok(());
    };
    let refused = |field: &str, value: &str, rule: &str| {
        Err(ActorError::invalid(
            format!("{at}.auth.{field}"),
            value,
            rule,
        ))
    };
    if auth.r#type != CLIENT_CREDENTIALS {
        return refused(
            "type",
            &auth.r#type,
            "it is client_credentials, or blank for none",
        );
    }
    if !has_url {
        return Err(ActorError::invalid(
            format!("{at}.url"),
            "",
            "it is blank, and auth needs it",
        ));
    }
    check_absolute(format!("{at}.auth.token_url"), &auth.token_url)?;
    if auth.client_id.is_empty() {
        return refused(
            "client_id",
            "",
            "it is blank, and client_credentials need it",
        );
    }
    if auth.client_secret.is_none() {
        return refused(
            "client_secret",
            "",
            "it is missing, and client_credentials need it",
        );
    }
    Ok(())
}

fn check_part<T>(part: Option<&T>, at: &str, check: impl Fn(&str, &T) -> Result<()>) -> Result<()> {
    part.map_or(Ok(()), |part| check(at, part))
}

fn http_secrets(at: &str, http: &HttpConnector) -> Result<()> {
    let HttpConnector {
        base_url,
        allowed_methods,
        allowed_paths,
        allowed_input_keys,
        default_headers,
        auth,
    } = http;
    check_url(&format!("{at}.base_url"), base_url)?;
    check_lists(&[
        (format!("{at}.allowed_methods"), allowed_methods),
        (format!("{at}.allowed_paths"), allowed_paths),
        (format!("{at}.allowed_input_keys"), allowed_input_keys),
    ])?;
    check_values(&format!("{at}.default_headers"), default_headers)?;
    check_part(auth.as_deref(), &format!("{at}.auth"), auth_secrets)
}

fn cli_secrets(at: &str, cli: &CliConnector) -> Result<()> {
    let CliConnector {
        command,
        fixed_arguments,
        allowed_operations,
        allowed_input_keys,
        working_directory,
        environment,
    } = cli;
    check_urls(&format!("{at}.command"), command)?;
    check_urls(&format!("{at}.working_directory"), working_directory)?;
    check_lists(&[
        (format!("{at}.fixed_arguments"), fixed_arguments),
        (format!("{at}.allowed_operations"), allowed_operations),
        (format!("{at}.allowed_input_keys"), allowed_input_keys),
    ])?;
    check_values(&format!("{at}.environment"), environment)
}

fn mcp_secrets(at: &str, mcp: &McpConnector) -> Result<()> {
    let McpConnector {
        server_name,
        command,
        url,
        arguments,
        environment,
        additional_headers,
        auth,
        default_tool,
        allowed_tools,
        allowed_input_keys,
    } = mcp;
    check_url(&format!("{at}.url"), url)?;
    check_urls(&format!("{at}.server_name"), server_name)?;
    check_urls(&format!("{at}.command"), command)?;
    check_urls(&format!("{at}.default_tool"), default_tool)?;
    check_lists(&[
        (format!("{at}.arguments"), arguments),
        (format!("{at}.allowed_tools"), allowed_tools),
        (format!("{at}.allowed_input_keys"), allowed_input_keys),
    ])?;
    check_values(&format!("{at}.environment"), environment)?;
    check_values(&format!("{at}.additional_headers"), additional_headers)?;
    check_part(auth.as_deref(), &format!("{at}.auth"), auth_secrets)
}

fn auth_secrets(at: &str, auth: &ConnectorAuth) -> Result<()> {
    let ConnectorAuth {
        r#type,
        token_url,
        client_id,
        client_secret,
        scope,
    } = auth;
    check_url(&format!("{at}.token_url"), token_url)?;
    check_urls(&format!("{at}.type"), r#type)?;
    check_urls(&format!("{at}.client_id"), client_id)?;
    check_urls(&format!("{at}.scope"), scope)?;
    check_secret(&format!("{at}.client_secret"), client_secret.as_deref())
}

/// A scheme, `://`, a host, and no white space.
fn check_absolute(field: String, url: &str) -> Result<()> {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let of_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    let absolute = scheme
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic())
        && scheme.bytes().all(of_scheme)
        && !host.is_empty()
        && !host.starts_with(':')
        && !url
            .chars()
            .any(|char| char.is_whitespace() || char.is_control());
    if absolute {
        return Ok(());
    }
    let rule = "an absolute URL is needed: https://host/path";
    Err(ActorError::invalid(field, shown(url), rule))
}
