//! The models and their providers.

use std::sync::Arc;

use skein_config::{LayerSource, OFFLINE, ServerConfig};
use skein_helpers::shown_url;
use skein_protocol::catalogue::{
    GatewayAuth, ModelProviderListParams, ModelProviderListResponse, ModelProviderSummary, ProviderDetails,
    ProviderSettings, ReadyProvider,
};
use skein_protocol::error::WireError;
use skein_protocol::server::{InputModality, Model, ModelListParams, ModelListResponse};
use skein_provider::spec::ProviderSpec;
use skein_provider::{ListedModel, echo, scripted};

use super::paging;
use super::thread::check_provider;
use crate::app::App;
use crate::models;
use crate::router::session::ClientSession;

/// `model/list`: the known models of one provider, the configured one first. Starts a fetch in the background if the
/// list is old.
pub(crate) fn list(
    session: &Arc<ClientSession>,
    params: ModelListParams,
) -> Result<ModelListResponse, WireError> {
    let services = &session.app;
    check_provider(services, params.model_provider.as_ref())?;
    let config = services.config();
    let provider = params.model_provider.as_deref().unwrap_or(&config.model_provider);
    models::refresh(&services.context, provider);
    if params.model_provider.is_some() {
        models::refresh_asked(&services.context, provider);
    }
    let mut listed = services.providers.models(provider);
    if provider == skein_config::policy::DEFAULT_MODEL_PROVIDER {
        listed.push(ListedModel { id: skein_provider::policy::DEFAULT_MODEL.to_owned(), display_name: None });
    }
    let mut models: Vec<Model> = listed.into_iter().map(|listed| model(listed, provider, &config)).collect();
    if provider == config.model_provider {
        put_first(&mut models, provider, &config);
    }
    if let Some(cursor) = params.cursor {
        // A provider may list a model twice.
        let at = models.iter().rposition(|model| model.id == cursor).ok_or_else(paging::bad_cursor)?;
        models.drain(..=at);
    }
    let (data, next_cursor) = paging::page(models, params.limit, |model| model.id.clone());
    Ok(ModelListResponse { data, next_cursor })
}

/// Puts the configured model first, known or not. The default model belongs to no other provider.
fn put_first(models: &mut Vec<Model>, provider: &str, config: &ServerConfig) {
    let name = config.model.as_str();
    let at = models.iter().position(|model| model.id == name);
    if at.is_none() && name == skein_provider::policy::DEFAULT_MODEL {
        return;
    }
    let listed = || ListedModel { id: name.to_owned(), display_name: None };
    let mut first = at.map_or_else(|| model(listed(), provider, config), |at| models.remove(at));
    first.is_default = true;
    models.insert(0, first);
}

fn model(listed: ListedModel, provider: &str, config: &ServerConfig) -> Model {
    let description = match provider {
        echo::NAME => "Answers with what it is told, without a network".to_owned(),
        scripted::NAME => "Says what its scenario file says, without a network".to_owned(),
        _ => format!("A model of {provider}"),
    };
    let name = listed.display_name.unwrap_or_else(|| listed.id.clone());
    let images = config.model_terms(provider, &listed.id).images;
    let mut model = Model::new(listed.id, name, description);
    // Clients block images for a model without image input, so an unknown model gets it.
    if images.unwrap_or(!OFFLINE.contains(&provider)) {
        model.input_modalities.push(InputModality::Image);
    }
    model
}

/// `modelProvider/list`: the built-in providers and those of the settings, and which of them can be used at once.
pub(crate) async fn providers(
    session: Arc<ClientSession>,
    _params: ModelProviderListParams,
) -> Result<ModelProviderListResponse, WireError> {
    let services = &session.app;
    models::find_local(&services.context).await;
    let config = services.config();
    let summary = |id: String| match config.providers.get(&id) {
        Some(spec) => configured(spec),
        None => built_in(id),
    };
    Ok(ModelProviderListResponse {
        can_change_default: !is_flag(&config, "model_provider"),
        data: services.providers.names().into_iter().map(summary).collect(),
        default_provider_id: config.model_provider.clone(),
        skein: Some(ProviderDetails { ready: ready(services, &config) }),
    })
}

/// The providers that can be used at once.
fn ready(services: &App, config: &ServerConfig) -> Vec<ReadyProvider> {
    let names = services.providers.names().into_iter().filter(|name| services.providers.is_ready(name));
    let shown = |id: String| {
        let spec = config.providers.get(&id);
        let env_key = spec.and_then(|spec| spec.env_key.clone());
        ReadyProvider { env_key, local: spec.is_none_or(ProviderSpec::is_local), id }
    };
    names.map(shown).collect()
}

fn configured(spec: &ProviderSpec) -> ModelProviderSummary {
    let auth = match &spec.env_key {
        Some(env_key) => GatewayAuth::EnvironmentVariable { env_key: env_key.clone() },
        None if spec.has_headers() => GatewayAuth::ExternallyConfigured { env_key: None },
        None => GatewayAuth::None,
    };
    ModelProviderSummary {
        base_url: Some(shown_url(&spec.base_url)),
        can_edit: false,
        id: spec.id.clone(),
        name: spec.name.clone(),
        settings: if spec.is_openai() {
            ProviderSettings::Openai
        } else {
            ProviderSettings::CustomGateway { auth }
        },
    }
}

/// A provider that works offline.
fn built_in(id: String) -> ModelProviderSummary {
    let settings = ProviderSettings::CustomGateway { auth: GatewayAuth::None };
    ModelProviderSummary { base_url: None, can_edit: false, name: id.clone(), id, settings }
}

/// Whether a flag of the server's start overrides this setting.
fn is_flag(config: &ServerConfig, key: &str) -> bool {
    let mut flags = config.layers.iter().filter(|layer| matches!(layer.source, LayerSource::Flags));
    flags.any(|layer| layer.keys.iter().any(|flag| flag == key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_shown_to_take_what_it_takes_as_far_as_that_is_known() {
        let config = ServerConfig::new("/nowhere".into());
        for (provider, id, said, pictures) in [
            ("echo", "m", "is told", false),
            ("scripted", "gpt-5", "scenario", false),
            ("openai", "gpt-5", "A model of openai", true),
            ("openai", "nobody-knows-it", "A model of openai", true),
            ("openai", "o3-mini", "A model of openai", false),
        ] {
            let shown = model(ListedModel { id: id.to_owned(), display_name: None }, provider, &config);
            assert!(shown.description.contains(said), "{shown:?}");
            assert_eq!(shown.input_modalities.contains(&InputModality::Image), pictures, "{provider} {id}");
        }
    }
}
