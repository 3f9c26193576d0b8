//! Forms that a helper asks the user to fill in. Unknown members are errors, which tells these types apart.

#![expect(
    missing_docs,
    reason = "fields and variants carry the wire's own names; source: Codex app-server v2, 0.169.0"
)]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

/// The form that a helper wants to be filled in.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpElicitationSchema {
    #[serde(rename = "$schema")]
    pub schema: Option<String>,
    pub properties: BTreeMap<String, McpElicitationPrimitiveSchema>,
    pub required: Option<Vec<String>>,
    #[serde(rename = "type")]
    pub kind: McpElicitationObjectType,
}

/// The type of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum McpElicitationObjectType {
    Object,
}

/// A field of a form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum McpElicitationPrimitiveSchema {
    Enum(McpElicitationEnumSchema),
    String(McpElicitationStringSchema),
    Number(McpElicitationNumberSchema),
    Boolean(McpElicitationBooleanSchema),
}

/// A field for a text.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpElicitationStringSchema {
    pub default: Option<String>,
    pub description: Option<String>,
    pub format: Option<McpElicitationStringFormat>,
    pub max_length: Option<u32>,
    pub min_length: Option<u32>,
    pub title: Option<String>,
    #[serde(rename = "type")]
    pub kind: McpElicitationStringType,
}

/// The format of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum McpElicitationStringFormat {
    Email,
    Uri,
    Date,
    DateTime,
}

/// The type of a text field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum McpElicitationStringType {
    String,
}

/// A field for a number.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpElicitationNumberSchema {
    pub default: Option<serde_json::Number>,
    pub description: Option<String>,
    pub maximum: Option<serde_json::Number>,
    pub minimum: Option<serde_json::Number>,
    pub title: Option<String>,
    #[serde(rename = "type")]
    pub kind: McpElicitationNumberType,
}

/// The type of a number field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum McpElicitationNumberType {
    Number,
    Integer,
}

/// A field for yes or no.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpElicitationBooleanSchema {
    pub default: Option<bool>,
    pub description: Option<String>,
    pub title: Option<String>,
    #[serde(rename = "type")]
    pub kind: McpElicitationBooleanType,
}

/// The type of a yes-or-no field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum McpElicitationBooleanType {
    Boolean,
}

/// A field for a choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum McpElicitationEnumSchema {
    SingleSelect(McpElicitationSingleSelectEnumSchema),
    MultiSelect(McpElicitationMultiSelectEnumSchema),
    LegacyTitled(McpElicitationLegacyTitledEnumSchema),
}

/// A field for a choice of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum McpElicitationSingleSelectEnumSchema {
    Untitled(McpElicitationUntitledSingleSelectEnumSchema),
    Titled(McpElicitationTitledSingleSelectEnumSchema),
}

/// A field for a choice of several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum McpElicitationMultiSelectEnumSchema {
    Untitled(McpElicitationUntitledMultiSelectEnumSchema),
    Titled(McpElicitationTitledMultiSelectEnumSchema),
}

/// A choice of one.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpElicitationUntitledSingleSelectEnumSchema {
    pub default: Option<String>,
    pub description: Option<String>,
    #[serde(rename = "enum")]
    pub values: Vec<String>,
    pub title: Option<String>,
    #[serde(rename = "type")]
    pub kind: McpElicitationStringType,
}

/// A choice of one, with titles.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpElicitationTitledSingleSelectEnumSchema {
    pub default: Option<String>,
    pub description: Option<String>,
    pub one_of: Vec<McpElicitationConstOption>,
    pub title: Option<String>,
    #[serde(rename = "type")]
    pub kind: McpElicitationStringType,
}

/// A choice of one, with the titles in a second list.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpElicitationLegacyTitledEnumSchema {
    pub default: Option<String>,
    pub description: Option<String>,
    #[serde(rename = "enum")]
    pub values: Vec<String>,
    pub enum_names: Option<Vec<String>>,
    pub title: Option<String>,
    #[serde(rename = "type")]
    pub kind: McpElicitationStringType,
}

/// A choice of several.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpElicitationUntitledMultiSelectEnumSchema {
    pub default: Option<Vec<String>>,
    pub description: Option<String>,
    pub items: McpElicitationUntitledEnumItems,
    pub max_items: Option<u64>,
    pub min_items: Option<u64>,
    pub title: Option<String>,
    #[serde(rename = "type")]
    pub kind: McpElicitationArrayType,
}

/// A choice of several, with titles.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpElicitationTitledMultiSelectEnumSchema {
    pub default: Option<Vec<String>>,
    pub description: Option<String>,
    pub items: McpElicitationTitledEnumItems,
    pub max_items: Option<u64>,
    pub min_items: Option<u64>,
    pub title: Option<String>,
    #[serde(rename = "type")]
    pub kind: McpElicitationArrayType,
}

/// A choice with its title.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpElicitationConstOption {
    #[serde(rename = "const")]
    pub value: String,
    pub title: String,
}

/// The choices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpElicitationUntitledEnumItems {
    #[serde(rename = "enum")]
    pub values: Vec<String>,
    #[serde(rename = "type")]
    pub kind: McpElicitationStringType,
}

/// The choices with their titles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct McpElicitationTitledEnumItems {
    pub any_of: Vec<McpElicitationConstOption>,
}

/// The type of a choice of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum McpElicitationArrayType {
    Array,
}
