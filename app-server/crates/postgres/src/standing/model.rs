//! Three servers and their database as a model. The counting of beats is the real one, and the database follows the statements in
//! `presence/entry.rs`. Servers and the database meet faults, and each server takes a thread as soon as the database lets it.
//!
//! A statement that reaches the database does so within [`LATE`]. After a later one, servers that share their doubt may have counted on a
//! silence that another one had broken; only the fence of each append keeps two owners apart then. So it is while a server under a new row has
//! no link yet to one that has lost the database: the model gives it its links at once, also where they are cut for questions. It leaves out
//! refusals of statements, the way of claims, a clock of the database that jumps, and a failover.

use proptest::prelude::*;
use skein_base::clock::Clock;

use super::*;

const SERVERS: usize = 3;
/// All times are milliseconds from the beginning.
type Ms = u64;
const TICK: Ms = 10;
/// The longest way of a statement or an answer.
const LATE: Ms = 60;
/// Faults begin before this time.
const FAULTS: Ms = 40_000;
/// The longest fault.
const LONGEST: Ms = 12_000;
/// Behind the faults, everything is well again by then.
const CALM: Ms = 20_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServerFault {
    /// The database refuses a server, or, without one, all.
    Refuses(Option<usize>),
    /// Statements of a server come to nothing.
    LosesStatements(usize),
    /// Its statements are done, and their answers lost.
    LosesAnswers(usize),
    /// The server stands still.
    Pauses(usize),
    /// The link between a server and the next one is cut.
    CutsLink(usize),
}

/// A fault, with the time of its begin and its length.
type Faults = Vec<(ServerFault, Ms, Ms)>;

/// The rows that the beats know.
struct ModelDatabase {
    last_beat: Ms,
    grace_until: Ms,
    /// When each row ends; `None` for a dead one.
    rows: Vec<Option<Ms>>,
    /// The row that owns the thread.
    owner: Option<usize>,
}

impl ModelDatabase {
    fn reached(&mut self, now: Ms) {
        if self.last_beat + policy::SILENCE * 1_000 <= now {
            self.grace_until = now + policy::GRACE * 1_000;
        }
        self.last_beat = now;
    }

    /// Prolongs a row, if it lives.
    fn beat(&mut self, row: usize, now: Ms) -> bool {
        let lives = self.lives(row);
        if lives {
            self.rows[row] = Some(now + ms(policy::PRESENCE));
            self.reached(now);
        }
        lives
    }

    /// Makes a row. The one that the server had before is dead.
    fn enter(&mut self, before: Option<usize>, now: Ms) -> usize {
        self.reached(now);
        if let Some(before) = before {
            self.rows[before] = None;
        }
        let row = self.rows.len();
        self.rows.push(Some(now + ms(policy::PRESENCE)));
        self.bury(row, now);
        row
    }

    fn lives(&self, row: usize) -> bool {
        self.rows[row].is_some()
    }

    fn bury(&mut self, by: usize, now: Ms) {
        let may_die = self.last_beat + policy::SILENCE * 1_000 > now && self.grace_until <= now;
        for (row, ends) in self.rows.iter_mut().enumerate() {
            if may_die && row != by && ends.is_some_and(|ends| ends <= now) {
                *ends = None;
            }
        }
    }

    fn members(&self) -> Vec<Uuid> {
        let alive = self.rows.iter().enumerate().filter(|(_, ends)| ends.is_some());
        alive.map(|(row, _)| Uuid::from_u128(row as u128)).collect()
    }
}

/// A beat on its way.
#[derive(Debug, Clone, Copy)]
enum BeatWay {
    None,
    /// It reaches the database at this time.
    There {
        sent: Ms,
        at: Ms,
    },
    /// Its answer reaches the server at this time.
    Back {
        sent: Ms,
        at: Ms,
        row: Option<usize>,
    },
    /// Its connection has broken, and the server notices at this time.
    Broken {
        at: Ms,
    },
    /// Nothing comes of it.
    Nowhere {
        sent: Ms,
    },
}

struct ModelServer {
    /// Its row; none from its loss to the next entry.
    row: Option<usize>,
    /// The newest row that it knows to be its own.
    last_row: usize,
    /// The rows that lived at the beat whose answer is on its way.
    members: Vec<Uuid>,
    /// A beat that was on its way when the server lost its row, for the row and with the time of its arrival.
    stray: Option<(usize, Ms)>,
    beats: Beats,
    way: BeatWay,
    next_beat: Ms,
    /// A question to the others: when it was asked, and when the answers are there.
    asks: Option<(Ms, Ms)>,
    next_question: Ms,
    /// It has the thread, as far as it knows.
    holds: bool,
    losses: usize,
}

struct ClusterModel {
    began: Instant,
    now: Ms,
    faults: Faults,
    dice: u64,
    database: ModelDatabase,
    servers: Vec<ModelServer>,
    /// The first contradiction.
    wrong: Option<String>,
}

fn ms(time: Duration) -> Ms {
    Ms::try_from(time.as_millis()).unwrap()
}

impl ClusterModel {
    fn new(faults: Faults, dice: u64) -> Self {
        let began = Clock.now();
        let mut database = ModelDatabase { last_beat: 0, grace_until: 0, rows: Vec::new(), owner: None };
        let server = |number: usize| ModelServer {
            row: Some(database.enter(None, 0)),
            last_row: number,
            members: Vec::new(),
            stray: None,
            beats: Beats::new(NodeCompany::Others, began, began),
            way: BeatWay::None,
            next_beat: 300 * number as Ms,
            asks: None,
            next_question: 0,
            holds: false,
            losses: 0,
        };
        let servers = (0..SERVERS).map(server).collect();
        database.grace_until = 0;
        Self { began, now: 0, faults, dice, database, servers, wrong: None }
    }

    fn at(&self, time: Ms) -> Instant {
        self.began + Duration::from_millis(time)
    }

    /// A time on the way, by the seed.
    fn delay(&mut self) -> Ms {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % (LATE + 1)
    }

    fn has(&self, fault: ServerFault) -> bool {
        let lasts = |from: Ms, time: Ms| (from..from + time).contains(&self.now);
        self.faults.iter().any(|(known, from, time)| *known == fault && lasts(*from, *time))
    }

    fn refuses(&self, server: usize) -> bool {
        self.has(ServerFault::Refuses(Some(server))) || self.has(ServerFault::Refuses(None))
    }

    fn standing(&self, server: usize) -> NodeStanding {
        self.servers[server].beats.standing(self.at(self.now))
    }

    fn run(&mut self, until: Ms) {
        while self.now < until && self.wrong.is_none() {
            for server in 0..SERVERS {
                if !self.has(ServerFault::Pauses(server)) {
                    self.live(server);
                }
                // On its way also while the server stands still.
                self.move_beat(server);
            }
            self.now += TICK;
        }
    }

    /// One moment of a server.
    fn live(&mut self, server: usize) {
        let now = self.at(self.now);
        let is_over = self.servers[server].beats.trusted_until().is_none_or(|until| until <= now);
        if is_over && self.servers[server].row.is_some() {
            self.lose(server);
        }
        self.take_answer(server);
        self.doubt(server);
        self.begin_beat(server);
        self.use_thread(server);
    }

    fn lose(&mut self, server: usize) {
        let it = &mut self.servers[server];
        it.beats.lose();
        if let (BeatWay::There { at, .. }, Some(row)) = (it.way, it.row) {
            it.stray = Some((row, at));
        }
        (it.row, it.holds, it.way, it.asks) = (None, false, BeatWay::None, None);
        it.losses += 1;
    }

    fn begin_beat(&mut self, server: usize) {
        let (now, delay) = (self.now, self.delay());
        let is_under_way = !matches!(self.servers[server].way, BeatWay::None);
        if is_under_way || now < self.servers[server].next_beat {
            return;
        }
        let (refuses, loses) = (self.refuses(server), self.has(ServerFault::LosesStatements(server)));
        let sent = self.at(now);
        let it = &mut self.servers[server];
        it.next_beat = now + ms(policy::BEAT);
        if refuses {
            return it.beats.fail("no connection");
        }
        it.beats.try_at(sent);
        it.way = if loses {
            BeatWay::Nowhere { sent: now }
        } else {
            BeatWay::There { sent: now, at: now + delay }
        };
    }

    /// The part of a beat that is not the server's.
    fn move_beat(&mut self, server: usize) {
        let (now, delay) = (self.now, self.delay());
        if let Some((row, _)) = self.servers[server].stray.take_if(|(_, at)| *at <= now) {
            self.database.beat(row, now);
        }
        let BeatWay::There { sent, at } = self.servers[server].way else { return };
        if at > now {
            return;
        }
        if self.refuses(server) {
            self.servers[server].way = BeatWay::Broken { at: now + delay };
            return;
        }
        let row = match self.servers[server].row {
            Some(row) => self.database.beat(row, now).then_some(row),
            None => Some(self.database.enter(Some(self.servers[server].last_row), now)),
        };
        self.servers[server].members = self.database.members();
        let lost = self.has(ServerFault::LosesAnswers(server));
        self.servers[server].way =
            if lost { BeatWay::Nowhere { sent } } else { BeatWay::Back { sent, at: now + delay, row } };
    }

    fn take_answer(&mut self, server: usize) {
        let now = self.now;
        match self.servers[server].way {
            BeatWay::Nowhere { sent } if now >= sent + ms(policy::WRITE_DEADLINE) => self.fail_beat(server),
            BeatWay::Broken { at } if at <= now => self.fail_beat(server),
            BeatWay::Back { sent, at, row } if at <= now => {
                let (sent, answered) = (self.at(sent), self.at(now));
                let it = &mut self.servers[server];
                it.way = BeatWay::None;
                match row {
                    Some(row) => {
                        let is_new = it.row.replace(row).is_none();
                        it.last_row = row;
                        let members = std::mem::take(&mut it.members);
                        it.beats.confirm(sent, answered, if is_new { Vec::new() } else { members });
                    }
                    None => self.lose(server),
                }
            }
            BeatWay::None
            | BeatWay::There { .. }
            | BeatWay::Back { .. }
            | BeatWay::Broken { .. }
            | BeatWay::Nowhere { .. } => {}
        }
    }

    fn fail_beat(&mut self, server: usize) {
        let it = &mut self.servers[server];
        it.way = BeatWay::None;
        it.beats.fail("no answer");
    }

    /// Asks the others whether they reach the database, as the server does when it does not.
    fn doubt(&mut self, server: usize) {
        let (now, delay) = (self.now, self.delay());
        if let Some((asked, due)) = self.servers[server].asks.filter(|(_, due)| *due <= now) {
            self.servers[server].asks = None;
            self.servers[server].next_question = due + 250;
            if let Some(shortest) = self.silence_of_others(server) {
                let (began, asked, now) = (self.at(now) - shortest, self.at(asked), self.at(now));
                self.servers[server].beats.share(Some(began), asked, now);
            }
        }
        let from = self.servers[server].beats.doubted_from();
        let doubts = from.is_some_and(|from| from <= self.at(now));
        let it = &mut self.servers[server];
        if doubts && it.asks.is_none() && now >= it.next_question {
            it.asks = Some((now, now + 2 * delay));
        }
    }

    /// The shortest silence of the others that the server knows. `None` if one does not answer, or has another row by now.
    fn silence_of_others(&self, server: usize) -> Option<Duration> {
        let now = self.at(self.now);
        let own = self.servers[server].row;
        let is_known = |row: usize| {
            self.servers[server].beats.members().iter().any(|member| member.as_u128() == row as u128)
        };
        if self.servers.iter().any(|other| other.row.is_some_and(|row| Some(row) != own && !is_known(row))) {
            return None;
        }
        let answer = |member: &Uuid| {
            let row = usize::try_from(member.as_u128()).ok()?;
            let other = (0..SERVERS).find(|other| self.servers[*other].row == Some(row))?;
            let next = |one: usize| (one + 1) % SERVERS;
            let link = if next(server) == other { server } else { other };
            let is_there = !self.has(ServerFault::CutsLink(link)) && !self.has(ServerFault::Pauses(other));
            is_there.then(|| self.servers[other].beats.silence(now))
        };
        let members = self.servers[server].beats.members().iter();
        let others = members.filter(|member| Some(member.as_u128()) != own.map(|row| row as u128));
        others.map(answer).collect::<Option<Vec<Duration>>>()?.into_iter().min()
    }

    /// Takes the thread, if nobody has it by the database. A server that counts on its place uses a thread that nobody else has.
    fn use_thread(&mut self, server: usize) {
        let Some(row) = self.servers[server].row else { return };
        if self.standing(server) == NodeStanding::Lost {
            return;
        }
        if !self.database.lives(row) {
            self.wrong = Some(format!("at {} ms, {server} counts on a row that is dead", self.now));
        }
        if self.servers[server].holds {
            if self.database.owner != Some(row) {
                self.wrong = Some(format!("at {} ms, {server} uses a thread of another one", self.now));
            }
            return;
        }
        let is_cut =
            self.has(ServerFault::LosesStatements(server)) || self.has(ServerFault::LosesAnswers(server));
        if self.refuses(server) || is_cut {
            return;
        }
        self.database.bury(row, self.now);
        if self.database.owner.is_none_or(|owner| !self.database.lives(owner)) {
            self.database.owner = Some(row);
            self.servers[server].holds = true;
        }
    }
}

fn faults(most: usize) -> impl Strategy<Value = Faults> {
    let fault = prop_oneof![
        Just(ServerFault::Refuses(None)),
        (0..SERVERS).prop_map(|server| ServerFault::Refuses(Some(server))),
        (0..SERVERS).prop_map(ServerFault::LosesStatements),
        (0..SERVERS).prop_map(ServerFault::LosesAnswers),
        (0..SERVERS).prop_map(ServerFault::Pauses),
        (0..SERVERS).prop_map(ServerFault::CutsLink),
    ];
    prop::collection::vec((fault, 0..FAULTS, TICK..LONGEST), 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_server_takes_a_thread_that_another_one_uses_and_one_has_it_in_the_end(
        faults in faults(9),
        dice in any::<u64>(),
    ) {
        let mut model = ClusterModel::new(faults, dice);
        model.run(FAULTS + LONGEST + CALM);
        prop_assert_eq!(&model.wrong, &None);
        for server in 0..SERVERS {
            prop_assert_eq!(model.standing(server), NodeStanding::Sure, "{}", server);
        }
        let holders: Vec<usize> = (0..SERVERS).filter(|server| model.servers[*server].holds).collect();
        prop_assert_eq!(holders.len(), 1, "{:?}", holders);
        prop_assert_eq!(model.database.owner, model.servers[holders[0]].row);
    }

    /// Of two short ones within a row's life, a server may miss every beat between.
    #[test]
    fn an_outage_of_the_database_takes_no_thread_from_anybody(
        // From the time on when each server has beaten, and knows the others.
        from in 3_000..FAULTS,
        lasts in TICK..LONGEST,
        dice in any::<u64>(),
    ) {
        let mut model = ClusterModel::new(vec![(ServerFault::Refuses(None), from, lasts)], dice);
        model.run(FAULTS + LONGEST + CALM);
        prop_assert_eq!(&model.wrong, &None);
        let losses: Vec<usize> = model.servers.iter().map(|server| server.losses).collect();
        prop_assert_eq!(losses, vec![0; SERVERS]);
    }
}
