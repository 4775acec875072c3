/* What is wrong with a file, and what is said about it in one pass. */
static const struct {
    const char *text, *problems;
} mistakes[] = {
    {"", "0:0: the file is empty: it needs `bots:` with at least one bot\n"},
    {"# nothing\n", "0:0: the file is empty: it needs `bots:` with at least one bot\n"},
    {"- a\n", "1:3: the file must be a mapping that begins with `bots:`\n"},
    {"hello\n", "1:1: the file must be a mapping that begins with `bots:`\n"},
    {"bots:\n", "1:1: `bots` is empty: it needs at least one bot\n"},
    {"bots: []\n", "1:1: `bots` is empty: it needs at least one bot\n"},
    {"bots: {name: a}\n",
     "1:1: `bots` must be a list: begin each bot with a hyphen (`- name: ...`)\n"},
    {"bots:\n- a\n- ~\n- [x]\n", "2:3: a bot must be a mapping (`key: value` lines), not text\n"
                                 "3:3: a bot must be a mapping (`key: value` lines), not empty\n"
                                 "4:4: a bot must be a mapping (`key: value` lines), not a list\n"},
    {"bots:\n- name: a\n  endpont: https://h\n  bot_tokn_file: x\n  zzz: 1\n",
     "3:3: unknown key `endpont`; did you mean `endpoint`?\n"
     "4:3: unknown key `bot_tokn_file`; did you mean `bot_token_file`?\n"
     "5:3: a bot has no key `zzz`\n"},
    {"bot:\n- name: a\n", "1:1: unknown key `bot`; did you mean `bots`?\n"},
    {BOT "  name: b\n", "5:3: `name` is given twice (first on line 2)\n"},
    {BOT "  bot_token_file: token\n",
     "5:3: `bot_token` and `bot_token_file` are both given (the other one on line 4)\n"},
    {BOT "  routes:\n"
         "  - {name: r, channel: c, text: t, schedule: '0 25 * * *', timezone: Mars/Base}\n",
     "6:47: `schedule`: hour: \"25\" is not a number from 0 to 23\n"
     "6:70: `timezone`: there is no time zone \"Mars/Base\" in /usr/share/zoneinfo\n"},
    {BOT "  login: me\n",
     "5:3: a bot signs in either by bot_token or by login and password, not by both\n"},
    {"bots:\n- name: a\n  endpoint: https://h\n  login: me\n",
     "4:3: login needs a password (or password_file) beside it\n"},
    {"bots:\n- name: a\n  endpoint: https://h\n  password: me\n",
     "4:3: password needs a login beside it\n"},
    {"bots:\n- name: a\n  endpoint: https://h\n",
     "2:3: the bot has no bot_token (or bot_token_file, or login and password)\n"},
    {BOT "  timeout: soon\n  poll_interval: 1ms\n",
     "5:12: `timeout` must be a duration such as 500ms, 30s, 5m or 2h, not \"soon\"\n"
     "6:18: `poll_interval` must be between 500ms and 1h\n"},
    {BOT "  mention_only: yes\n  thread_replies: [1]\n  transport: websockt\n  type: slack\n",
     "5:17: `mention_only` must be true or false, not \"yes\"\n"
     "6:3: `thread_replies` must be a single value, not a list\n"
     "7:14: `transport` cannot be \"websockt\"; did you mean \"websocket\"?\n"
     "8:9: `type` cannot be \"slack\"; it is one of: mattermost\n"},
    {BOT "  channels: [a, [b], {c: d}, ~, '']\n  allowed_users: [[x], bob]\n",
     "5:18: an item of `channels` must be text, not a list\n"
     "5:23: an item of `channels` must be text, not a mapping\n"
     "5:30: an item of `channels` must be text, not empty\n"
     "5:34: an item of `channels` is empty\n"
     "6:20: an item of `allowed_users` must be text, not a list\n"
     "6:24: \"bob\" is no user: did you mean \"@bob\"? (a user id or \"*\" for everyone is fine "
     "too)\n"},
    {BOT "  channels: {a: b}\n", "5:3: `channels` must be a list such as [town-square, ops/alerts, "
                                 "a1b2c3d4e5f6g7h8i9j0klmnop], not a mapping\n"},
    {BOT "  channels:\n  allowed_users:\n  - alice\n  - role:x\n  - '@bob'\n",
     "7:5: \"alice\" is no user: did you mean \"@alice\"? (a user id or \"*\" for everyone is fine "
     "too)\n"
     "8:5: \"role:x\" is nobody: write \"@name\", a user id, group:NAME, team:NAME, "
     "channel-admins, or \"*\" for everyone\n"},
    {BOT "  team:\n  proxy: ''\n", "5:3: `team` has no value\n"
                                   "6:11: `proxy` is empty\n"},
    {BOT "daemon:\n  files: {quota: 1, max_size: huge, download: mention, typs: x}\n",
     "6:18: `quota` must be between 1 MiB and 1024 TiB\n"
     "6:31: `max_size` must be a number of bytes such as 500 KiB, 100 MiB or 2 GiB, not \"huge\"\n"
     "6:47: `download` cannot be \"mention\"; did you mean \"mentioned\"?\n"
     "6:56: unknown key `typs`; did you mean `types`?\n"},
    {BOT "  handler: deplyo\nhandlers:\n  deploy: {type: command, command: [x]}\n",
     "5:12: there is no handler \"deplyo\"; did you mean \"deploy\"?\n"},
    {BOT "  handler: deploy\n", "5:12: there is no handler \"deploy\" under `handlers`\n"},
    {BOT "- name: a\n  endpoint: https://h\n  bot_token: y\n",
     "5:9: two bots are called \"a\" (the other one is on line 2)\n"},
    {BOT "- name: a b\n  endpoint: https://h\n  bot_token: y\n",
     "5:9: \"a b\" cannot be the name of a bot: use up to 64 letters, digits, dots, hyphens and "
     "underscores\n"},
    {BOT "handlers:\n  x: {type: command}\n  y: {type: command, command: ./run me}\n  z: 5\n",
     "6:3: a handler of type command needs `command`\n"
     "7:31: `command` must be a list such as [./deploy.sh, --quiet], not text\n"
     "8:3: the handler \"z\" must be a mapping (`key: value` lines), not text\n"},
    {BOT "handlers:\n  x: {type: command, command: []}\n  x: {type: luau, command: [a]}\n",
     "6:22: `command` is empty\n"
     "7:3: the handler \"x\" is given twice\n"
     "7:13: `type` cannot be \"luau\"; did you mean \"lua\"?\n"},
    {BOT "handlers:\n  x: {type: lua, script: /dev/null, http_hosts: [a, \"a:80\", \"[::1]:9\", "
         "http://a, a/b, \"*\", \"a:0\", u@a]}\n",
     "6:72: http_hosts takes hosts, as \"example.com\" or \"example.com:8080\", not \"http://a\"\n"
     "6:82: http_hosts takes hosts, as \"example.com\" or \"example.com:8080\", not \"a/b\"\n"
     "6:88: http_hosts takes hosts, as \"example.com\" or \"example.com:8080\", not \"*\"\n"
     "6:93: http_hosts takes hosts, as \"example.com\" or \"example.com:8080\", not \"a:0\"\n"
     "6:99: http_hosts takes hosts, as \"example.com\" or \"example.com:8080\", not \"u@a\"\n"},
    {BOT "handlers:\n  x: {type: command, command: [a], env: [A=1], env_inherit: [A=1], "
         "concurrency: 0}\n",
     "6:36: `env` must be a mapping such as { DEPLOY_TARGET: staging, API_KEY: $API_KEY }, not a "
     "list\n"
     "6:62: env_inherit takes names of variables, not \"A=1\"\n"
     "6:81: `concurrency` must be between 1 and 1000\n"},
    {BOT "handlers:\n  x:\n    type: command\n    command: [a]\n    env: {A=B: 1, C: [x], D: "
         "$UNSET}\n    concurrency: many\n",
     "9:11: this cannot be the name of a variable in `env`\n"
     "9:23: `env.C` must be a single value, not a list\n"
     "9:30: the environment has no variable UNSET (export UNSET=... first)\n"
     "10:18: `concurrency` must be a whole number, not \"many\"\n"},
    {BOT "daemon: {log_level: inf, database: postgresql://x, sockt: 1}\n",
     "5:21: `log_level` cannot be \"inf\"; did you mean \"info\"?\n"
     "5:36: this kind of database is not supported: write a path or sqlite:///absolute/path\n"
     "5:52: unknown key `sockt`; did you mean `socket`?\n"},
    {BOT "daemon: 5\n", "5:9: `daemon` must be a mapping (`key: value` lines), not text\n"},
    {BOT "  tls: {ca_file: nothing.pem, key_file: open}\n",
     "5:3: tls.key_file needs a tls.cert_file beside it\n"
     "5:18: cannot read DIR/nothing.pem: No such file or directory\n"
     "5:41: other users can read the secret file DIR/open: chmod 600 DIR/open\n"},
    {"bots:\n- name: a\n  endpoint: https://h\n  bot_token_file: open\n",
     "4:19: other users can read the secret file DIR/open: chmod 600 DIR/open\n"},
    {"bots:\n- name: a\n  endpoint: https://h\n  bot_token_file: writable\n",
     "4:19: other users can change the secret file DIR/writable: chmod 600 DIR/writable\n"},
    {"bots:\n- name: a\n  endpoint: https://h\n  bot_token_file: missing\n",
     "4:19: cannot read DIR/missing: No such file or directory\n"},
    {"bots:\n- name: a\n  endpoint: https://h\n  bot_token_file: empty\n",
     "4:19: DIR/empty is empty\n"},
    {"bots:\n- name: a\n  endpoint: https://h\n  bot_token_file: lines\n",
     "4:19: DIR/lines has more than one line of text: it must hold the secret only\n"},
    {"bots:\n- name: a\n  endpoint: https://h\n  bot_token_file: .\n", "4:19: DIR is not a file\n"},
    {"bots:\n- name: a\n  endpoint: https://h\n  bot_token: $UNSET\n",
     "4:14: the environment has no variable UNSET (export UNSET=... first)\n"},
    {"bots:\n- name: a\n  endpoint: https://h\n  bot_token: pa$1\n",
     "4:14: `$` must be followed by the name of a variable ($NAME or ${NAME}); write `$$` for a "
     "dollar sign\n"},
    {"bots:\n- name: a\n  endpoint: https://h\n  bot_token: ${TOKEN\n",
     "4:14: `$` must be followed by the name of a variable ($NAME or ${NAME}); write `$$` for a "
     "dollar sign\n"},
    {"bots:\n- name: a\n  endpoint: https://h\n  bot_token: $EMPTY\n",
     "4:14: `bot_token` is empty\n"},
    {"bots:\n- name: a\n  endpoint: mattermost.example.com\n  bot_token: x\n",
     "3:13: `endpoint` must begin with https:// or http://: did you mean "
     "\"https://mattermost.example.com\"?\n"},
    {"bots:\n- name: a\n  endpoint: wss://mattermost.example.com\n  bot_token: x\n",
     "3:13: `endpoint` must begin with https:// or http://: did you mean "
     "\"https://mattermost.example.com\"?\n"},
    {"bots:\n- name: a\n  endpoint: ftp://mattermost.example.com\n  bot_token: x\n",
     "3:13: `endpoint` must be the address of a server such as https://mattermost.example.com, not "
     "\"ftp://mattermost.example.com\"\n"},
    {"bots:\n- name: a\n  endpoint: https://me:pw@h\n  bot_token: x\n",
     "3:13: `endpoint` must not hold a user or password: use bot_token, or login and password\n"},
    {"bots:\n- name: a\n  endpoint: https://h?x=1\n  bot_token: x\n",
     "3:13: `endpoint` must be an address without query, fragment and spaces\n"},
    {"bots:\n- name: a\n  endpoint: https://h:99999/x\n  bot_token: x\n",
     "3:13: `endpoint` has no valid port: \"99999\"\n"},
    {"bots:\n- name: a\n  endpoint: https://h:/x\n  bot_token: x\n",
     "3:13: `endpoint` has no valid port: \"\"\n"},
    {"bots:\n- name: a\n  endpoint: https:///x\n  bot_token: x\n",
     "3:13: `endpoint` has no valid host name: \"\"\n"},
    {"bots:\n- name: a\n  allowed_users: [@alice]\n",
     "3:19: not valid YAML: plain scalar cannot start with '@' (put it in quotes: \"@name\")\n"},
    {"bots:\n- name: a\n  allowed_users: *\n", "3:19: not valid YAML: invalid alias detected (put "
                                               "a value that begins with * in quotes: \"*\")\n"},
    {"bots:\n- name: a\n\tendpoint: x\n", "3:2: not valid YAML: invalid tab used as indentation\n"},
    {"bots:\n- name: a\n  team:x\n  proxy: y\n",
     "3:3: not valid YAML: could not find expected ':' (is there a space behind the colon?)\n"},
    {"bots:\n- name: \"a\n",
     "2:10: not valid YAML: double-quoted scalar without closing quote (close the quote)\n"},
    {"bots:\n- name: a: b\n", "2:10: not valid YAML: invalid nested block mapping on the same line "
                              "(put a value with \": \" in it in quotes)\n"},
    {BOT "  team: *nobody\n",
     "5:10: there is no anchor for this alias (put a value that begins with * in quotes)\n"},
    {BOT "---\n" BOT, "6:1: a second YAML document begins here: the file must be one\n"},
    {BOT "  team: \xff\n", "5:9: the file is not UTF-8 text\n"},
};
