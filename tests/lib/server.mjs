// The server under test: the sandbox, or a real Mattermost named by MATTERMOST_URL. And a world of its own on it.
import { randomBytes } from 'node:crypto';
import { Person } from './client.mjs';
import { Program, matterwire } from './program.mjs';

export const live = Boolean(process.env.MATTERMOST_URL);
// For tests that need what only the sandbox has: test('...', sandboxOnly, async () => ...)
export const sandboxOnly = { skip: live && 'needs the sandbox' };

export const password = 'Password-1';
const unique = () => randomBytes(4).toString('hex');

export class Server {
  // Extra sandbox options may be given; a real server ignores them.
  static async open(...options) {
    const server = new Server();
    if (live) {
      server.url = process.env.MATTERMOST_URL.replace(/\/+$/, '');
      server.admin = await Person.login(server.url, process.env.MATTERMOST_ADMIN, process.env.MATTERMOST_PASSWORD);
    } else {
      await server.#startSandbox(options);
    }
    return server;
  }

  async #startSandbox(options) {
    this.program = new Program(matterwire, ['sandbox', '--listen', '127.0.0.1:0', '--control', '127.0.0.1:0', ...options]);
    const ready = await this.program.line((l) => /^sandbox ready /.test(l), 'the sandbox to be ready');
    const control = await this.program.line((l) => /^sandbox control /.test(l), 'the control address');
    this.url = ready.match(/http:\S+/)[0].replace(/\/$/, '');
    this.controlUrl = control.match(/http:\S+/)[0].replace(/\/$/, '');
    this.admin = await Person.login(this.url, 'anna', password);
  }

  // One fault or question on the sandbox's control address; see docs/sandbox.md.
  async control(path, body) {
    const response = await fetch(`${this.controlUrl}${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`control ${path}: ${response.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  async close() {
    this.admin?.close();
    await this.program?.stop();
  }
}

// A team, an open channel in it, people and bots, all with names of their own; archived at the end on a real server.
export class World {
  people = [];
  bots = [];

  static async open(server, { people = ['ann', 'bob'], bots = ['bot'] } = {}) {
    const world = new World();
    const tag = unique();
    world.server = server;
    world.url = server.url;
    world.team = await server.admin.rest.createTeam({ name: `t${tag}`, display_name: `Team ${tag}`, type: 'O' });
    world.channel = await server.admin.rest.createChannel({
      team_id: world.team.id, name: `c${tag}`, display_name: `Channel ${tag}`, type: 'O',
    });
    for (const name of people) {
      const username = `${name}-${tag}`;
      const user = await server.admin.rest.createUser({ username, email: `${username}@example.com`, password }, '', '');
      await world.admit(user);
      const person = await Person.login(server.url, username, password);
      world.people.push(person);
      world[name] = person;
    }
    for (const name of bots) {
      const bot = await server.admin.rest.createBot({ username: `${name}-${tag}`, display_name: name, description: '' });
      const token = await server.admin.rest.createUserAccessToken(bot.user_id, 'system test');
      await world.admit({ id: bot.user_id });
      const entry = { id: bot.user_id, username: bot.username, token: token.token, token_id: token.id };
      world.bots.push(entry);
      world[name] = entry;
    }
    return world;
  }

  // Puts a user into the team and the channel.
  async admit(user) {
    await this.server.admin.rest.addToTeam(this.team.id, user.id);
    await this.server.admin.rest.addToChannel(user.id, this.channel.id);
  }

  // Another channel of the team with everybody in it.
  async newChannel(name = `c${unique()}`, type = 'O') {
    const channel = await this.server.admin.rest.createChannel({
      team_id: this.team.id, name, display_name: name, type,
    });
    for (const member of [...this.people.map((p) => p.user), ...this.bots]) {
      await this.server.admin.rest.addToChannel(member.id, channel.id);
    }
    return channel;
  }

  async close() {
    for (const person of this.people) person.close();
    if (!live) return;
    const { rest } = this.server.admin;
    for (const bot of this.bots) await rest.disableBot(bot.id);
    for (const person of this.people) await rest.updateUserActive(person.user.id, false);
    await rest.deleteTeam(this.team.id);
  }
}
