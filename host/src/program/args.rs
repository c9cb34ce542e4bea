//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args as Group, Parser, Subcommand, ValueEnum};

/// Keeps a Gmail mailbox and a CRM's conversations the same, both ways.
#[derive(Debug, Parser)]
#[command(
    name = "twinbox",
    version,
    after_help = "Exit codes: 0 done; 1 something failed; 2 the command line is wrong; 3 the configuration is \
                  wrong; 4 the user has to connect again; 5 try again later; 6 messages are missing; 7 something of a \
                  domain has to be put right."
)]
pub(super) struct Args {
    /// Answers and errors as JSON, one object on one line.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Says more on standard error. `TWINBOX_LOG` chooses in detail.
    #[arg(long, short, global = true)]
    pub(super) verbose: bool,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// A simulated Gmail, a host and a small CRM, all in this process.
    Demo(Demo),
    /// Serves real mailboxes.
    Serve(Configured),
    /// Connects a mailbox: prints the address of the consent page and waits for the answer.
    Connect(Connect),
    /// Shows the connections.
    Status(Configured),
    /// Runs one pass now, or several until there is no more to do.
    Sync(OneConnection),
    /// Compares mailboxes with what became of their messages, and says what is missing.
    Audit(Audit),
    /// Says why a message is (not) in the CRM, or all of a contact's.
    Explain(Explain),
    /// Shows and changes what is kept out of the CRM: lists, and private conversations.
    Privacy(PrivacyOptions),
    /// A dry run: which of the mailbox's newest mail would be synced, and why. Writes nothing.
    Preview(Preview),
    /// Takes out of the CRM what the lists no longer allow.
    Retract(OneConnection),
    /// Ends a connection. What was synced stays.
    Disconnect(OneConnection),
    /// Looks at what a domain publishes (SPF, DKIM, DMARC, MX) and says why its mail may land in spam.
    CheckDomain(CheckDomain),
    /// Shows what a component is, what it imports and what it may use.
    Inspect(Inspect),
    /// Runs one pass now and writes it down, so that it can be replayed.
    Record(Record),
    /// Runs a recorded pass again, without a network.
    Replay(Replay),
    /// Which component runs: shows it, tries another one in its shadow, lets it take over, takes it back.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Who may sign in to the pages: adds, lists and removes accounts, gives another password.
    #[command(subcommand)]
    User(UserCommand),
    /// Tokens for the API and the metrics, each acting for one account.
    #[command(subcommand)]
    Token(TokenCommand),
    /// The keys that seal the tokens: shows them, or lets a new one take their place.
    #[command(subcommand)]
    Keys(KeysCommand),
}

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Adds an account and prints its password, unless one is given.
    Add(AddUser),
    /// Shows the accounts.
    List(Configured),
    /// Gives an account another password, and prints it unless one is given. Its sessions end.
    Password(UserPassword),
    /// Removes an account with its sessions and tokens. What was written and synced stays.
    Remove(OneUser),
}

#[derive(Debug, Group)]
pub(super) struct AddUser {
    #[command(flatten)]
    pub(super) user: UserPassword,
    /// Their tenant, which is made if it is new.
    #[arg(long, default_value = "home")]
    pub(super) tenant: String,
    /// Who they are in the tenant; by default the login. Connections belong to this name.
    #[arg(long, value_name = "ID")]
    pub(super) user_id: Option<String>,
    /// What they are called; by default the login.
    #[arg(long)]
    pub(super) name: Option<String>,
    /// What they may do.
    #[arg(long, value_enum, default_value_t = RoleName::User)]
    pub(super) role: RoleName,
}

#[derive(Debug, Group)]
pub(super) struct UserPassword {
    #[command(flatten)]
    pub(super) one: OneUser,
    /// Reads the password from standard input: one line.
    #[arg(long)]
    pub(super) password_stdin: bool,
}

#[derive(Debug, Group)]
pub(super) struct OneUser {
    #[command(flatten)]
    pub(super) configured: Configured,
    /// What they sign in with, such as their address.
    pub(super) login: String,
}

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum RoleName {
    /// Their own mailbox, the tenant's contacts and conversations.
    User,
    /// That, and how the tenant's connections run.
    Admin,
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Makes a token and prints it, this once.
    Create(CreateToken),
    /// Shows the tokens, without what opens anything.
    List(Configured),
    /// Revokes a token.
    Revoke(RevokeToken),
}

#[derive(Debug, Group)]
pub(super) struct CreateToken {
    #[command(flatten)]
    pub(super) user: OneUser,
    /// What it is for.
    #[arg(long)]
    pub(super) name: String,
    /// Until it expires; without it, until it is revoked.
    #[arg(long)]
    pub(super) days: Option<u32>,
}

#[derive(Debug, Group)]
pub(super) struct RevokeToken {
    #[command(flatten)]
    pub(super) configured: Configured,
    /// Its id, as `twinbox token list` shows it.
    pub(super) id: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Shows which keys there are and how much is sealed with each.
    List(Configured),
    /// Seals everything with a new key, also while the server runs; the old one opens nothing afterwards. A
    /// rotation that was interrupted is carried on.
    Rotate(Configured),
}

#[derive(Debug, Subcommand)]
pub(super) enum PluginCommand {
    /// Shows what runs, what ran before it, and what a candidate's shadow passes showed.
    Status(Configured),
    /// Tries a component in the shadow of the one that runs: it gets the same input, nothing of it is
    /// written, and differences are counted.
    Shadow(Shadow),
    /// Lets a component take over from the next pass on.
    Promote(Promote),
    /// Lets the version that ran before take over again from the next pass on.
    Rollback(Configured),
}

#[derive(Debug, Group)]
pub(super) struct Shadow {
    #[command(flatten)]
    pub(super) configured: Configured,
    /// The component to try.
    #[arg(required_unless_present = "stop", conflicts_with = "stop")]
    pub(super) plugin: Option<PathBuf>,
    /// Ends the trial.
    #[arg(long)]
    pub(super) stop: bool,
}

#[derive(Debug, Group)]
pub(super) struct Promote {
    #[command(flatten)]
    pub(super) configured: Configured,
    /// The component; without it, the one in the shadow.
    pub(super) plugin: Option<PathBuf>,
}

#[derive(Debug, Group)]
pub(super) struct Record {
    #[command(flatten)]
    pub(super) configured: Configured,
    /// The connection's id or address; not needed when there is only one.
    #[arg(long, value_name = "ID")]
    pub(super) connection: Option<String>,
    /// What to take out beside tokens, which are never in it.
    #[arg(long, value_enum)]
    pub(super) redact: Option<Redact>,
    /// Where the trace goes.
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: PathBuf,
}

/// What is taken out of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Redact {
    /// What people wrote, their names, and the local parts of their addresses.
    Bodies,
}

#[derive(Debug, Group)]
#[command(after_help = "Exit codes: 0 the same; 1 different; 3 the trace or the component cannot be used.")]
pub(super) struct Replay {
    /// The trace.
    pub(super) trace: PathBuf,
    /// The component; by default the one beside the program. Another one than was recorded is compared by
    /// what it decides.
    #[arg(long, value_name = "FILE.wasm")]
    pub(super) plugin: Option<PathBuf>,
    /// Compares what is decided, and shows each difference.
    #[arg(long)]
    pub(super) diff: bool,
    /// Writes a redacted copy of the trace instead of replaying it.
    #[arg(long, value_name = "FILE", conflicts_with = "diff")]
    pub(super) redact_to: Option<PathBuf>,
}

#[derive(Debug, Group)]
pub(super) struct Demo {
    /// A folder of `.eml` files: the mail that arrives. Without it, sample contacts write.
    #[arg(long, value_name = "DIR")]
    pub(super) mail: Option<PathBuf>,
    /// The contacts: lines of name,email,assigned-user,created-at (RFC 3339 or ms since the epoch).
    #[arg(long, value_name = "FILE.csv", conflicts_with = "contacts_from_mail")]
    pub(super) contacts: Option<PathBuf>,
    /// The contacts: the N most frequent senders of the mail.
    #[arg(long, value_name = "N", requires = "mail")]
    pub(super) contacts_from_mail: Option<usize>,
    /// Delivers all mail, syncs until nothing is left, prints a report and exits.
    #[arg(long)]
    pub(super) once: bool,
    /// Where the page is.
    #[arg(long, default_value = "127.0.0.1:8080", env = "TWINBOX_LISTEN")]
    pub(super) listen: SocketAddr,
    /// Keeps the state here; without it, in memory.
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,
    /// A simulator that is running already, such as http://127.0.0.1:8025.
    #[arg(long, value_name = "ORIGIN")]
    pub(super) gmail: Option<String>,
    /// The mailbox.
    #[arg(long, default_value = "me@twinbox.example")]
    pub(super) mailbox: String,
    /// Seconds between two messages that arrive.
    #[arg(long, default_value_t = 4)]
    pub(super) every: u64,
    /// Whether to wait for Gmail's quota, by which of Google's tables.
    #[arg(long, value_enum, default_value_t = QuotaMode::Off)]
    pub(super) quota: QuotaMode,
    /// The component; by default the one beside the program.
    #[arg(long, value_name = "FILE.wasm")]
    pub(super) plugin: Option<PathBuf>,
    /// Writes the trace of each pass into this folder.
    #[arg(long, value_name = "DIR")]
    pub(super) record: Option<PathBuf>,
}

/// How the demo treats quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum QuotaMode {
    /// Counted, never waited for.
    Off,
    /// 15,000 units a minute, the costs of projects from before 2026-05-01.
    Old,
    /// 6,000 units a minute, the costs of projects made since.
    New,
}

#[derive(Debug, Group)]
pub(super) struct Configured {
    /// The configuration.
    #[arg(
        long,
        default_value = "twinbox.toml",
        value_name = "FILE",
        env = "TWINBOX_CONFIG"
    )]
    pub(super) config: PathBuf,
}

#[derive(Debug, Group)]
pub(super) struct Connect {
    #[command(flatten)]
    pub(super) configured: Configured,
    /// The mailbox that is meant; another one is refused.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) address: Option<String>,
    /// Whom it is for: a login, or a user's name in the tenant `home`.
    #[arg(long, default_value = "user")]
    pub(super) user: String,
    /// Brings the contacts of the Google account into the CRM as well.
    #[arg(long)]
    pub(super) google_contacts: bool,
}

#[derive(Debug, Group)]
pub(super) struct OneConnection {
    #[command(flatten)]
    pub(super) configured: Configured,
    /// The connection's id or address; not needed when there is only one.
    pub(super) connection: Option<String>,
}

#[derive(Debug, Group)]
#[command(
    after_help = "Exit codes: 0 nothing is missing; 6 messages are missing; 4, 5 or 1 an audit was not made, as for all \
                  commands. A pass that `twinbox serve` has under way is waited for."
)]
pub(super) struct Audit {
    #[command(flatten)]
    pub(super) configured: Configured,
    /// The connection's id or address; without it, all that were not ended.
    pub(super) connection: Option<String>,
    /// Brings in what is missing.
    #[arg(long)]
    pub(super) heal: bool,
}

#[derive(Debug, Group)]
#[command(
    after_help = "Exit codes: 0 nothing has to be put right; 7 something has; 5 something could not be looked up; 2 it is no domain."
)]
pub(super) struct CheckDomain {
    /// The domain, or an address in it.
    pub(super) domain: String,
    /// A name that a key is looked for under; without one, `google`. May be repeated.
    #[arg(long = "selector", value_name = "S")]
    pub(super) selectors: Vec<String>,
    /// The domain's mail is not sent by Gmail.
    #[arg(long)]
    pub(super) not_gmail: bool,
    /// The name server to ask, such as 192.0.2.1 or 192.0.2.1:53; by default those of the system.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) dns: Option<String>,
}

#[derive(Debug, Group)]
pub(super) struct Explain {
    #[command(flatten)]
    pub(super) configured: Configured,
    /// A message by Gmail's id or its Message-ID (`<…@…>`), or a contact by address.
    pub(super) subject: String,
    /// The connection's id or address; not needed when there is only one.
    #[arg(long, value_name = "ID")]
    pub(super) connection: Option<String>,
}

#[derive(Debug, Group)]
pub(super) struct PrivacyOptions {
    #[command(flatten)]
    pub(super) configured: Configured,
    /// The connection's id or address; not needed when there is only one.
    pub(super) connection: Option<String>,
    /// No mail of this address, or of this domain and its subdomains, is synced any more.
    #[arg(long, value_name = "ENTRY")]
    pub(super) never_sync: Vec<String>,
    /// Takes an entry off that list.
    #[arg(long, value_name = "ENTRY")]
    pub(super) allow: Vec<String>,
    /// Mail among people of these domains alone is not synced; `none` for no domain, `default` for the mailbox's own.
    #[arg(long, value_name = "DOMAIN", value_delimiter = ',')]
    pub(super) internal: Vec<String>,
    /// An address that is the user's own: it is never the contact.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) own: Vec<String>,
    /// Of whose contacts mail is synced: those assigned to the user or to nobody, all, or as the configuration has it.
    #[arg(long, value_enum, value_name = "WHOSE")]
    pub(super) assigned_users: Option<Whose>,
    /// Makes the conversation with this contact private: none of its mail comes in.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) private: Vec<String>,
    /// Opens the conversation with this contact again, for mail from now on.
    #[arg(long, value_name = "ADDRESS")]
    pub(super) open: Vec<String>,
}

/// Whose contacts are synced (S30).
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Whose {
    /// Assigned to the user or to nobody.
    Own,
    /// All.
    Any,
    /// As the configuration has it.
    Default,
}

#[derive(Debug, Group)]
pub(super) struct Preview {
    #[command(flatten)]
    pub(super) configured: Configured,
    /// The connection's id or address; not needed when there is only one.
    pub(super) connection: Option<String>,
    /// So many messages at most, the newest first; up to 500.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(super) last: u32,
    /// Of so many days.
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub(super) days: u32,
    /// As if this were on the never-sync list too.
    #[arg(long, value_name = "ENTRY")]
    pub(super) never_sync: Vec<String>,
}

#[derive(Debug, Group)]
pub(super) struct Inspect {
    /// The component.
    pub(super) plugin: PathBuf,
}
