//! Which class each message has, and of what kind each of its fields is.
//!
//! Written by `make gen` from the .proto files; edit those, and what writes this in `rust/gen`.

use treering_actor::messages as proto;

use super::field::{
    Boxed, Choice, Flag, Linked, Number, Optional, Part, Present, Reference, Repeated, Text, Values,
};

choices! {
    AgentOperation {
        0 => "unknown",
        1 => "use",
        2 => "delete",
        3 => "chat",
        4 => "stream",
        5 => "approve",
        6 => "join",
        7 => "list_participants",
        8 => "draft_run_reuse",
    }
}

choices! {
    Admission {
        0 => "not_found",
        1 => "allowed",
        2 => "denied",
        3 => "scope_mismatch",
    }
}

choices! {
    MemorySource {
        0 => "inferred",
        1 => "explicit",
    }
}

message! {
    AgentGroup {
        agent_type: Text,
        actor_ids: Repeated<Text>,
    }
}

message! {
    AgentAdded {
        agent_type: Text,
        actor_id: Text,
    }
}

message! {
    AgentRemoved {
        agent_type: Text,
        actor_id: Text,
    }
}

message! {
    Conversation {
        id: Text,
        title: Text,
        service_id: Text,
        service_kind: Text,
        created_at_ms: Number<i64>,
        updated_at_ms: Number<i64>,
        message_count: Number<u32>,
        llm_route: Text,
        llm_model: Text,
    }
}

message! {
    Message {
        id: Text,
        role: Text,
        content: Text,
        at_ms: Number<i64>,
        status: Text,
        error: Text,
        thinking: Text,
        attachments: Repeated<Linked>,
    }
}

message! {
    ChatReplaced {
        conversation: Present<Part<proto::Conversation>>,
        messages: Repeated<Linked>,
    }
}

message! {
    ChatAppended {
        conversation: Present<Part<proto::Conversation>>,
        messages: Repeated<Linked>,
        dropped: Number<u32>,
    }
}

message! {
    ChatIndexed {
        conversation: Present<Part<proto::Conversation>>,
    }
}

message! {
    ChatUnindexed {
        id: Text,
    }
}

message! {
    ConnectorAuth {
        r#type as "type": Text,
        token_url: Text,
        client_id: Text,
        client_secret: Optional<Boxed<Reference>>,
        scope: Text,
    }
}

message! {
    HttpConnector {
        base_url: Text,
        allowed_methods: Repeated<Text>,
        allowed_paths: Repeated<Text>,
        allowed_input_keys: Repeated<Text>,
        default_headers: Values,
        auth: Optional<Boxed<Part<proto::ConnectorAuth>>>,
    }
}

message! {
    CliConnector {
        command: Text,
        fixed_arguments: Repeated<Text>,
        allowed_operations: Repeated<Text>,
        allowed_input_keys: Repeated<Text>,
        working_directory: Text,
        environment: Values,
    }
}

message! {
    McpConnector {
        server_name: Text,
        command: Text,
        url: Text,
        arguments: Repeated<Text>,
        environment: Values,
        additional_headers: Values,
        auth: Optional<Boxed<Part<proto::ConnectorAuth>>>,
        default_tool: Text,
        allowed_tools: Repeated<Text>,
        allowed_input_keys: Repeated<Text>,
    }
}

message! {
    Connector {
        name: Text,
        r#type as "type": Text,
        enabled: Flag,
        timeout_ms: Number<i64>,
        retry: Number<i64>,
        http: Optional<Boxed<Part<proto::HttpConnector>>>,
        cli: Optional<Boxed<Part<proto::CliConnector>>>,
        mcp: Optional<Boxed<Part<proto::McpConnector>>>,
    }
}

message! {
    state ConnectorDraft {
        item: Optional<Boxed<Part<proto::Connector>>>,
        updated_at_ms: Number<i64>,
    }
}

message! {
    ConnectorsSaved {
        connectors: Repeated<Part<proto::Connector>>,
    }
}

message! {
    ConnectorDraftSaved {
        draft: Present<Part<proto::ConnectorDraft>>,
    }
}

message! {
    ConnectorDraftDeleted {
    }
}

message! {
    FileInfo {
        path: Text,
        content: Present<Linked>,
        size: Number<u64>,
        content_type: Text,
        updated_at_ms: Number<i64>,
    }
}

message! {
    FilePut {
        file: Present<Part<proto::FileInfo>>,
    }
}

message! {
    FileDeleted {
        path: Text,
    }
}

message! {
    MemoryEntry {
        id: Text,
        category: Text,
        content: Text,
        source: Choice<proto::MemorySource>,
        created_at_ms: Number<i64>,
        updated_at_ms: Number<i64>,
    }
}

message! {
    MemoryEntryAdded {
        entry: Present<Part<proto::MemoryEntry>>,
        cap: Number<u32>,
    }
}

message! {
    MemoryEntryRemoved {
        id: Text,
    }
}

message! {
    MemoryCleared {
    }
}

message! {
    Participant {
        agent_id: Text,
        display_name: Text,
        joined_at_ms: Number<i64>,
    }
}

message! {
    ParticipantAdded {
        room_id: Text,
        participant: Present<Part<proto::Participant>>,
    }
}

message! {
    ParticipantRemoved {
        room_id: Text,
        agent_id: Text,
    }
}

message! {
    RoomRemoved {
        room_id: Text,
    }
}

message! {
    state RetentionPolicy {
        keep: Optional<Number<u64>>,
        younger_than_ms: Optional<Number<u64>>,
    }
}

message! {
    RetentionPolicySet {
        keep: Optional<Number<u64>>,
        younger_than_ms: Optional<Number<u64>>,
    }
}

message! {
    Role {
        id: Text,
        name: Text,
        system_prompt: Text,
        provider: Text,
        model: Text,
        connectors: Repeated<Text>,
    }
}

message! {
    state RoleDraft {
        item: Optional<Boxed<Part<proto::Role>>>,
        updated_at_ms: Number<i64>,
    }
}

message! {
    RolesSaved {
        roles: Repeated<Part<proto::Role>>,
    }
}

message! {
    RoleDraftSaved {
        draft: Present<Part<proto::RoleDraft>>,
    }
}

message! {
    RoleDraftDeleted {
    }
}

message! {
    state UserConfig {
        default_model: Text,
        preferred_llm_route: Text,
        runtime_mode: Text,
        local_runtime_base_url: Text,
        remote_runtime_base_url: Text,
        max_tool_rounds: Number<u32>,
        github_username: Text,
    }
}

message! {
    UserConfigSaved {
        config: Present<Part<proto::UserConfig>>,
    }
}

message! {
    UserConfigUpdated {
        default_model: Optional<Text>,
        preferred_llm_route: Optional<Text>,
        runtime_mode: Optional<Text>,
        local_runtime_base_url: Optional<Text>,
        remote_runtime_base_url: Optional<Text>,
        max_tool_rounds: Optional<Number<u32>>,
        github_username: Optional<Text>,
    }
}

message! {
    state LlmPreferences {
        default_model: Text,
        preferred_route: Text,
        max_tool_rounds: Number<u32>,
    }
}

message! {
    Workflow {
        id: Text,
        name: Text,
        yaml: Text,
        uploaded_at_ms: Number<i64>,
    }
}

message! {
    WorkflowUploaded {
        id: Text,
        workflow: Present<Linked>,
    }
}

message! {
    Script {
        id: Text,
        source: Text,
        uploaded_at_ms: Number<i64>,
    }
}

message! {
    ScriptUploaded {
        id: Text,
        script: Present<Linked>,
    }
}

by_name! {
    "treering.v1.";
    AgentGroup,
    AgentAdded,
    AgentRemoved,
    Conversation,
    Message,
    ChatReplaced,
    ChatAppended,
    ChatIndexed,
    ChatUnindexed,
    ConnectorAuth,
    HttpConnector,
    CliConnector,
    McpConnector,
    Connector,
    ConnectorDraft,
    ConnectorsSaved,
    ConnectorDraftSaved,
    ConnectorDraftDeleted,
    FileInfo,
    FilePut,
    FileDeleted,
    MemoryEntry,
    MemoryEntryAdded,
    MemoryEntryRemoved,
    MemoryCleared,
    Participant,
    ParticipantAdded,
    ParticipantRemoved,
    RoomRemoved,
    RetentionPolicy,
    RetentionPolicySet,
    Role,
    RoleDraft,
    RolesSaved,
    RoleDraftSaved,
    RoleDraftDeleted,
    UserConfig,
    UserConfigSaved,
    UserConfigUpdated,
    LlmPreferences,
    Workflow,
    WorkflowUploaded,
    Script,
    ScriptUploaded,
}
