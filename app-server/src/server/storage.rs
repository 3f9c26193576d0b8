//! Where a server's threads are: in files of its home, or in a database.

use std::io;
use std::sync::Arc;

use nix::unistd::gethostname;
use skein_base::tasks::{BlockingPool, Tasks};
use skein_config::access::{AccessError, CredentialFile, CredentialStore, carry};
use skein_config::{ClusterRules, ServerConfig, StorePasswordError, StoreUrl};
use skein_postgres::address::{AddressError, DbAddress};
use skein_postgres::credentials::{CredentialBeats, CredentialRows};
use skein_postgres::database::Database;
use skein_postgres::index::PgIndex;
use skein_postgres::instance::DbInstance;
use skein_postgres::news::RowNews;
use skein_postgres::node::{LinkPlace, NodeCompany, NodeProfile};
use skein_postgres::ownership::PgOwnership;
use skein_postgres::presence::{NodePresence, PresenceError, PresenceEvents};
use skein_postgres::rows::ThreadRows;
use skein_postgres::schema::SchemaError;
use skein_postgres::standing::NodePlace;
use skein_postgres::store::PgStore;
use skein_store::home::{DatabaseNote, Home, HomeError};
use skein_store::index::changes::Changes;
use skein_store::index::sled::SledIndex;
use skein_store::index::{IndexError, ThreadIndex};
use skein_store::ownership::{HomeOwnership, Ownership};
use skein_store::rollout::RolloutStore;
use skein_store::rollout::file::FileStore;
use skein_store::rollout::file::layer::DiskLayer;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::database_credentials::DatabaseCredentials;
use crate::http::LinkDoor;
use crate::links::Links;
use crate::links::key::LinkKey;
use crate::thread::questions::QuestionNumbers;

/// The rooms that keep the threads.
pub(super) struct Storage {
    /// The rollouts.
    pub(super) store: Arc<dyn RolloutStore>,
    /// The right to write to them.
    pub(super) ownership: Arc<dyn Ownership>,
    /// The lists of threads.
    pub(super) index: Arc<dyn ThreadIndex>,
    /// The rows of the index that have changed.
    pub(super) changes: Arc<Changes>,
    /// The sessions and tokens, which nobody has read yet.
    pub(super) credentials: Arc<dyn CredentialStore>,
    /// The numbers of questions.
    pub(super) questions: QuestionNumbers,
    /// The server's part in the cluster, if a database has the threads.
    pub(super) cluster: Option<ClusterParts>,
}

/// The part of a server in the cluster of its database.
pub(super) struct ClusterParts {
    pub(super) place: NodePlace,
    /// The events of its row.
    pub(super) presence: PresenceEvents,
    /// Its ways to other servers; none for a server alone.
    pub(super) others: Option<OtherServers>,
}

impl ClusterParts {
    /// The parts that are used up by the start of a server, where it has them.
    pub(super) fn split(
        cluster: Option<Self>,
    ) -> (Option<PresenceEvents>, Option<Arc<RowNews>>, Option<LinkDoor>) {
        let (presence, others) = cluster.map(|cluster| (cluster.presence, cluster.others)).unzip();
        let (news, door) = others.flatten().map(|others| (others.news, others.door)).unzip();
        (presence, news, door)
    }
}

/// The ways between a server and the others of its cluster.
pub(super) struct OtherServers {
    /// The changes of rows that they make.
    pub(super) news: Arc<RowNews>,
    pub(super) links: Arc<Links>,
    /// The port at which their links come.
    pub(super) door: LinkDoor,
}

/// Why a database does not serve.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Its password cannot be read.
    #[error(transparent)]
    Password(#[from] StorePasswordError),
    /// Its address cannot be used.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Its tables cannot be used.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// Another server has it.
    #[error(transparent)]
    NodePresence(#[from] PresenceError),
    /// The threads cannot be read.
    #[error(transparent)]
    Store(#[from] io::Error),
    /// The lists cannot be read.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The note of the home about it cannot be read or written.
    #[error(transparent)]
    Home(#[from] Box<HomeError>),
    /// The sessions and tokens of the home do not come into it.
    #[error(transparent)]
    Credentials(#[from] AccessError),
}

impl Storage {
    /// Opens the storage that the settings name. `stop` ends its tasks, once nobody uses it any more.
    ///
    /// # Errors
    /// The files of the home, or the database, cannot be reached.
    pub(super) async fn open(
        config: &ServerConfig,
        home: &Home,
        tasks: &Tasks,
        stop: CancellationToken,
    ) -> Result<Self, StartError> {
        match &config.store.url {
            Some(url) => {
                // Before the row of the server, which says where.
                let door = link_door(&config.cluster)?;
                let opened = Self::in_database(url, config, (home, door), (tasks, stop)).await;
                opened.map_err(|source| StartError::Database { url: url.clone(), source })
            }
            None if let Some(name) = &config.cluster.node_name => {
                Err(StartError::NameWithoutDatabase(name.clone()))
            }
            None => Self::in_home(home, tasks, stop),
        }
    }

    fn in_home(home: &Home, tasks: &Tasks, stop: CancellationToken) -> Result<Self, StartError> {
        let store = FileStore::open(home.paths(), Arc::new(DiskLayer), tasks.clone());
        let store: Arc<dyn RolloutStore> = Arc::new(store.map_err(StartError::Store)?);
        let changes = Arc::new(Changes::default());
        let noted = Arc::clone(&changes);
        let index = SledIndex::start(home.paths().clone(), Arc::clone(&store), tasks, noted, stop);
        let ownership = Arc::new(HomeOwnership::new(home.term()));
        let credentials = Arc::new(CredentialFile::new(home.paths().access(), tasks.clone()));
        let questions = QuestionNumbers::from(home.first_question());
        let index = Arc::new(index);
        Ok(Self { store, ownership, index, changes, credentials, questions, cluster: None })
    }

    async fn in_database(
        url: &StoreUrl,
        config: &ServerConfig,
        (home, door): (&Home, Option<(Arc<LinkKey>, LinkDoor)>),
        (tasks, stop): (&Tasks, CancellationToken),
    ) -> Result<Self, DatabaseError> {
        let password = config.store.password()?;
        let address = DbAddress::parse(&url.expose(), password.as_deref().map(String::as_str))?;
        let before = home.database_instance().map_err(Box::new)?.as_ref().and_then(DbInstance::from_json);
        let database = Arc::new(Database::open_after(address, before.as_ref()).await?);
        let profile = profile(&config.cluster, home, door.as_ref())?;
        let questions = QuestionNumbers::beside_others(database.take_questions().await?);
        let taken = NodePresence::take(Arc::clone(&database), profile, home.start_id()).await?;
        let (beats, presence) = taken;
        let (node, newest, place) = (beats.node(), beats.credentials(), beats.place());
        let credentials = credentials(&database, home, tasks, newest).await?;
        let changes = Arc::new(Changes::default());
        let rows = Arc::new(ThreadRows::open(&database, Arc::clone(&changes)).await?);
        let index = PgIndex::new(&database, Arc::clone(&rows));
        let others = door.map(|(key, door)| OtherServers {
            news: Arc::new(RowNews::new(&database, Arc::clone(&rows))),
            links: Arc::new(Links::new(place.clone(), key)),
            door,
        });
        let store = Arc::new(PgStore::open(Arc::clone(&database), rows, node.clone(), tasks.clone()).await?);
        let (note, mut instance) = (home.database_note(url.to_string()), database.instance());
        note.write(instance.borrow_and_update().to_json()).map_err(Box::new)?;
        home.set_credentials_aside().map_err(Box::new)?;
        tasks.spawn("instance", keep(note, instance, (tasks.clone(), stop.clone())));
        tasks.spawn("presence", beats.beat(stop.clone()));
        tasks.spawn("store", close(Arc::clone(&store), stop.clone()));
        let ownership = Arc::new(PgOwnership::new(&database, node, Arc::clone(&store), (tasks, stop)));
        let (index, cluster) = (Arc::new(index), Some(ClusterParts { place, presence, others }));
        Ok(Self { store, ownership, index, changes, credentials, questions, cluster })
    }
}

/// The key and the port for links of other servers; none for a server alone.
fn link_door(rules: &ClusterRules) -> Result<Option<(Arc<LinkKey>, LinkDoor)>, StartError> {
    if rules.node_name.is_none() {
        return Ok(None);
    }
    let key = Arc::new(LinkKey::make()?);
    let door = LinkDoor::open(rules.listen, &key)?;
    Ok(Some((key, door)))
}

/// Closes the store at the stop.
async fn close(store: Arc<PgStore>, stop: CancellationToken) {
    stop.cancelled().await;
    store.close();
}

/// Keeps each later instance of the database in the home, so that the next start refuses an earlier one.
async fn keep(
    note: DatabaseNote,
    mut instance: watch::Receiver<DbInstance>,
    (tasks, stop): (Tasks, CancellationToken),
) {
    let note = Arc::new(note);
    while let Some(Ok(())) = stop.run_until_cancelled(instance.changed()).await {
        let (note, found) = (Arc::clone(&note), instance.borrow_and_update().to_json());
        let written = tasks.blocking("instance", BlockingPool::Sync, move || note.write(found)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "the home does not have the new instance of the database: its next start takes an earlier one, too");
        }
    }
}

/// The sessions and tokens in the database, with those of the home's time without it.
async fn credentials(
    database: &Arc<Database>,
    home: &Home,
    tasks: &Tasks,
    newest: CredentialBeats,
) -> Result<Arc<DatabaseCredentials>, AccessError> {
    let file = CredentialFile::new(home.paths().access(), tasks.clone());
    let came = carry(&file, &DatabaseCredentials::new(CredentialRows::new(database, None))).await?;
    if came > 0 {
        tracing::info!(count = came, "tokens and sessions of the home are in the database now");
    }
    Ok(Arc::new(DatabaseCredentials::new(CredentialRows::new(database, Some(newest)))))
}

/// The server of this home, as others see it.
fn profile(
    rules: &ClusterRules,
    home: &Home,
    door: Option<&(Arc<LinkKey>, LinkDoor)>,
) -> io::Result<NodeProfile> {
    let (name, company) = match &rules.node_name {
        Some(name) => (name.to_string(), NodeCompany::Others),
        None => (name_of(home), NodeCompany::Alone),
    };
    let link = match door {
        Some((key, door)) => Some(LinkPlace { address: rules.address(door.address()?), key: key.hash() }),
        None => None,
    };
    Ok(NodeProfile { name, home: home.tag()?, company, link })
}

/// The name by which another server's error calls this one.
fn name_of(home: &Home) -> String {
    let host = gethostname().map(|host| host.to_string_lossy().into_owned());
    let host = host.unwrap_or_else(|_| "a machine without a name".to_owned());
    format!("the server of {} at {host} (process {})", home.paths().root().display(), std::process::id())
}
