// discord.js as the bot, against the stand-in for Discord.
import {
  ActionRowBuilder, AttachmentBuilder, ButtonBuilder, ButtonStyle, ChannelType, Client, ComponentType, Events,
  GatewayIntentBits, LabelBuilder, MessageFlags, ModalBuilder, Partials, PermissionFlagsBits, SlashCommandBuilder,
  TextDisplayBuilder, TextInputBuilder, TextInputStyle,
} from 'discord.js';
import { check, finish, soon, startFake } from './fake.mjs';

const fake = await startFake();
const { guild: GUILD, general: GENERAL, voice: VOICE, hidden: HIDDEN, alice: ALICE } = fake.names;
const client = new Client({
  intents: [GatewayIntentBits.Guilds, GatewayIntentBits.GuildMessages, GatewayIntentBits.DirectMessages],
  partials: [Partials.Channel],
  rest: { api: `${fake.api}/api` },
});
client.on(Events.Error, (why) => check('no error', false, String(why)));
client.on(Events.Warn, (what) => console.log(`warned: ${what}`));
const next = (event, is = () => true) =>
  soon(new Promise((yes) => {
    const hear = (it) => is(it) && (client.off(event, hear), yes(it));
    client.on(event, hear);
  }), event);

// The session.
const ready = next(Events.ClientReady);
await client.login(fake.token);
await ready;
check('ready', client.user.id === fake.names.bot && client.application.id === fake.application);
const guild = client.guilds.cache.get(GUILD);
check('a guild', guild?.available && guild.name === 'Shop' && guild.memberCount > 3, guild);
const general = guild.channels.cache.get(GENERAL);
check('a channel', general?.type === ChannelType.GuildText && guild.channels.cache.get(VOICE)?.type === ChannelType.GuildVoice);
const me = guild.members.me;
check('may write', me?.permissionsIn(general).has(PermissionFlagsBits.SendMessages), me?.permissionsIn(general).toArray());
const hidden = guild.channels.cache.get(HIDDEN);
check('may not see', !hidden || !me.permissionsIn(hidden).has(PermissionFlagsBits.ViewChannel), me.permissionsIn(hidden ?? general).toArray());

// Messages in.
let heard = next(Events.MessageCreate);
await fake.ask('mention', 'general', 'alice', 'hello there');
let message = await heard;
check('a mention', message.content.endsWith('hello there') && message.mentions.has(client.user) && message.author.id === ALICE);
check('its member', message.member?.id === ALICE && message.guildId === GUILD && message.inGuild());
heard = next(Events.MessageUpdate);
await fake.ask('edit', message.id, 'hello again');
await heard;
check('an edit', message.content.endsWith('hello again') && message.editedTimestamp > 0, message.content);
heard = next(Events.MessageCreate, (it) => it.guildId === null);
await fake.ask('dm', 'alice', 'to you alone');
const direct = await heard;
check('a direct message', direct.content === 'to you alone' && direct.channel.isDMBased());

// Messages out.
await message.react('👀');
check('a reaction', (await fake.ask('messages', 'general')).find((it) => it.id === message.id).reactions.length === 1);
const row = new ActionRowBuilder().addComponents(
  new ButtonBuilder().setCustomId('yes').setLabel('Yes').setStyle(ButtonStyle.Primary),
  new ButtonBuilder().setCustomId('form').setLabel('Form').setStyle(ButtonStyle.Secondary),
);
const asked = await message.reply({ content: '**sure?**', components: [row], allowedMentions: { parse: [] },
  flags: MessageFlags.SuppressEmbeds });
check('a reply', asked.reference?.messageId === message.id && asked.components[0].components.length === 2 && asked.editable);
await asked.edit({ content: 'really?', components: [row], allowedMentions: { parse: [] } });
check('its edit', (await general.messages.fetch({ message: asked.id, force: true })).content === 'really?');
const file = new AttachmentBuilder(Buffer.from('line one\n'), { name: 'log.txt' });
const filed = await general.send({ files: [file], allowedMentions: { parse: [] }, flags: MessageFlags.SuppressEmbeds });
const attachment = filed.attachments.first();
check('a file', attachment?.name === 'log.txt' && (await (await fetch(attachment.url)).text()) === 'line one\n', attachment);
const v2 = await general.send({ components: [new TextDisplayBuilder().setContent('x'.repeat(3_000))],
  flags: MessageFlags.IsComponentsV2, allowedMentions: { parse: [] } });
check('components alone', v2.components[0].type === ComponentType.TextDisplay && v2.content === '');
check('a page', (await general.messages.fetch({ limit: 3 })).size === 3);
await filed.delete();
check('deleted', !(await fake.ask('messages', 'general')).some((it) => it.id === filed.id));

// Threads.
const thread = await asked.startThread({ name: 'about it', autoArchiveDuration: 1440 });
check('a thread', thread.id === asked.id && thread.parentId === GENERAL && thread.ownerId === client.user.id && thread.joined);
await thread.send({ content: 'in it', allowedMentions: { parse: [] }, flags: MessageFlags.SuppressEmbeds });
await thread.setArchived(true);
check('archived', thread.archived);
await thread.setArchived(false);
const active = await guild.channels.fetchActiveThreads();
check('active threads', active.threads.has(thread.id), [...active.threads.keys()]);
check('its messages', (await thread.messages.fetch()).some((it) => it.content === 'in it'));

// Commands and interactions.
const command = new SlashCommandBuilder().setName('ops').setDescription('commands').addSubcommand((sub) =>
  sub.setName('say').setDescription('anything').addStringOption((option) =>
    option.setName('text').setDescription('what').setRequired(true).setAutocomplete(true)));
const set = await guild.commands.set([command]);
check('registered', set.size === 1 && set.first().options[0].options[0].autocomplete === true);
let act = next(Events.InteractionCreate);
let seen = fake.ask('slash', 'general', 'alice', 'say', 'text=status');
let it = await act;
check('a command', it.isChatInputCommand() && it.options.getSubcommand() === 'say' && it.options.getString('text') === 'status');
check('whose', it.user.id === ALICE && it.inCachedGuild() && it.channelId === GENERAL && it.context === 0 && it.locale === 'en-US');
check('with what', it.appPermissions.has(PermissionFlagsBits.SendMessages) && it.memberPermissions?.has(PermissionFlagsBits.ViewChannel));
await it.deferReply({ flags: MessageFlags.Ephemeral });
check('thinking', (await seen).seen === 'thinking');
const later = await it.editReply({ content: 'later', allowedMentions: { parse: [] } });
check('answered later', later.content === 'later' && later.flags.has(MessageFlags.Ephemeral), later.flags);
await it.followUp({ content: 'and more', flags: MessageFlags.Ephemeral, allowedMentions: { parse: [] } });
check('followed up', (await fake.ask('whispers', 'alice')).map((it) => it.text).join('|') === 'later|and more');
check('fetched', (await it.fetchReply()).id === later.id);

act = next(Events.InteractionCreate);
seen = fake.ask('typing', 'general', 'alice', 'say', 'text=st');
it = await act;
check('typing', it.isAutocomplete() && it.options.getFocused() === 'st');
await it.respond([{ name: 'status', value: 'status' }]);
check('offered', (await seen)[0]?.[0] === 'status');

act = next(Events.InteractionCreate);
seen = fake.ask('click', asked.id, 'alice', 'Yes');
it = await act;
check('a button', it.isButton() && it.customId === 'yes' && it.message.id === asked.id);
await it.update({ content: 'so be it', components: [], allowedMentions: { parse: [] } });
check('updated', (await seen).message?.text === 'so be it');
await asked.edit({ content: 'a form?', components: [row], allowedMentions: { parse: [] } });
act = next(Events.InteractionCreate);
seen = fake.ask('click', asked.id, 'alice', 'Form');
it = await act;
await it.showModal(new ModalBuilder().setCustomId('what').setTitle('What').addLabelComponents(
  new LabelBuilder().setLabel('Path').setTextInputComponent(
    new TextInputBuilder().setCustomId('path').setStyle(TextInputStyle.Short).setRequired(true))));
check('a form', (await seen).seen === 'form');
act = next(Events.InteractionCreate);
seen = fake.ask('submit', 'alice', 'path=/sale');
it = await act;
check('filled in', it.isModalSubmit() && it.customId === 'what' && it.fields.getTextInputValue('path') === '/sale' && it.isFromMessage());
const whispered = await it.reply({ content: 'thanks', flags: MessageFlags.Ephemeral, withResponse: true, allowedMentions: { parse: [] } });
check('its answer', (await seen).message?.text === 'thanks' && whispered.resource?.message?.content === 'thanks');

// Too fast.
const began = Date.now();
await Promise.all([...Array(12).keys()].map((nth) =>
  general.send({ content: `burst ${nth}`, allowedMentions: { parse: [] }, flags: MessageFlags.SuppressEmbeds })));
const state = await fake.ask('state');
check('twelve posts take their time', Date.now() - began > 4_000, Date.now() - began);
check('and are not refused', !state.refusals.some((refusal) => refusal[1] === 429), state.refusals);
for (const scope of ['user', 'shared', 'global']) {
  await fake.ask('refuse', 1, scope, 1.5);
  await general.send({ content: scope, allowedMentions: { parse: [] }, flags: MessageFlags.SuppressEmbeds });
}
check('refused and sent again', (await fake.ask('messages', 'general')).slice(-3).map((it) => it.text).join() === 'user,shared,global');

// The gateway goes away.
const hears = async (what) => {
  const heard = next(Events.MessageCreate, (it) => it.content.includes(what));
  await fake.ask('mention', 'ops', 'alice', what);
  await heard.then(() => check(what, true), (why) => check(what, false, String(why)));
};
for (const [trouble, session] of [['reconnect', 'resumed'], ['cut', 'resumed'], ['invalidate true', 'resumed'], ['invalidate false', 'new']]) {
  const before = await fake.ask('state');
  const again = soon(new Promise((yes) => client.once(session === 'new' ? Events.ShardReady : Events.ShardResume, yes)), trouble, 30_000);
  await fake.ask(trouble);
  await again.catch((why) => check(trouble, false, String(why)));
  const after = await fake.ask('state');
  check(`${trouble}: ${session}`, session === 'new' ? after.identifies > before.identifies : after.resumed > before.resumed);
  await hears(`after ${trouble}`);
}
await client.destroy();
await finish(fake);
