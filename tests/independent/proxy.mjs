// discord.js's proxy between midwatch and a Discord: node proxy.mjs API [PORT]
import { createServer } from 'node:http';
import { proxyRequests } from '@discordjs/proxy';
import { REST } from '@discordjs/rest';

const [api, port = '0'] = process.argv.slice(2);
const rest = new REST({ api: `${api}/api`, rejectOnRateLimit: null, retries: 0 });
rest.on('rateLimited', (what) => console.log('limited', what.method, what.route, what.retryAfter, what.scope));
const server = createServer(proxyRequests(rest));
server.listen(Number(port), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
