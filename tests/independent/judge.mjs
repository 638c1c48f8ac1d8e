// Holds what midwatch sent against discord.js: node judge.mjs < bodies.json
// Its input is what the stand-in answers to `bodies`: pairs of method and route, and body.
import { readFileSync } from 'node:fs';
import {
  ActionRowBuilder, ButtonBuilder, LabelBuilder, ModalBuilder, SlashCommandBuilder, SlashCommandSubcommandBuilder,
  StringSelectMenuBuilder, TextDisplayBuilder, TextInputBuilder,
} from '@discordjs/builders';
import { AllowedMentionsTypes, InteractionResponseType, MessageFlags } from 'discord-api-types/v10';

const wrong = [];
let judged = 0;
const must = (fine, what) => fine || wrong.push(what);

/** The same as what the builder makes of it: nothing unknown, nothing missing, nothing out of bounds. */
function built(Builder, data) {
  judged += 1;
  try {
    new Builder(data).toJSON();
  } catch (why) {
    wrong.push(`${Builder.name}: ${why}: ${JSON.stringify(data)}`);
  }
}

function component(it) {
  switch (it.type) {
    case 1: built(ActionRowBuilder, it); it.components.forEach(component); break;
    case 2: built(ButtonBuilder, it); break;
    case 3: built(StringSelectMenuBuilder, it); break;
    case 4: built(TextInputBuilder, it); break;
    case 10: built(TextDisplayBuilder, it); break;
    case 18: built(LabelBuilder, it); component(it.component); break;
    default: wrong.push(`a component of type ${it.type}`);
  }
}

const FLAGS = MessageFlags.SuppressEmbeds | MessageFlags.Ephemeral | MessageFlags.IsComponentsV2;
function message(body, route) {
  judged += 1;
  const known = ['content', 'flags', 'components', 'allowed_mentions', 'nonce', 'enforce_nonce', 'message_reference', 'attachments'];
  must(Object.keys(body).every((key) => known.includes(key)), `${route}: ${Object.keys(body)}`);
  must(((body.flags ?? 0) & ~FLAGS) === 0, `${route}: flags ${body.flags}`);
  const mentions = body.allowed_mentions;
  must(mentions?.parse.every((it) => Object.values(AllowedMentionsTypes).includes(it)), `${route}: ${JSON.stringify(mentions)}`);
  must(!(mentions?.users ?? []).some((id) => !/^\d{1,20}$/.test(id)), `${route}: ${JSON.stringify(mentions)}`);
  (body.components ?? []).forEach(component);
}

const option = (it) => ({ ...it, options: it.options?.map(option) });
for (const [route, body] of JSON.parse(readFileSync(0))) {
  if (route.endsWith('/callback')) {
    must(Object.values(InteractionResponseType).includes(body.type), `an answer of type ${body.type}`);
    if (body.type === InteractionResponseType.Modal) {
      built(ModalBuilder, body.data);
      body.data.components.forEach(component);
    } else if (body.type === InteractionResponseType.ChannelMessageWithSource) {
      message(body.data, route);
    }
  } else if (route.endsWith('/commands')) {
    for (const command of body) {
      const { options, ...rest } = command;
      const builder = new SlashCommandBuilder().setName(rest.name).setDescription(rest.description);
      for (const sub of options) {
        const { name, description, options: inner = [] } = option(sub);
        const made = new SlashCommandSubcommandBuilder().setName(name).setDescription(description);
        const add = { 3: 'addStringOption', 4: 'addIntegerOption', 5: 'addBooleanOption', 10: 'addNumberOption' };
        try {
          for (const it of inner) {
            made[add[it.type]]((of) => {
              of.setName(it.name).setDescription(it.description).setRequired(it.required ?? false);
              if (it.choices?.length) of.addChoices(...it.choices.map(({ name, value }) => ({ name, value })));
              if (it.autocomplete) of.setAutocomplete(true);
              if (it.min_value != null) of.setMinValue(it.min_value);
              if (it.max_value != null) of.setMaxValue(it.max_value);
              return of;
            });
          }
          builder.addSubcommand(made);
        } catch (why) {
          wrong.push(`/${command.name} ${name}: ${why}`);
        }
      }
      try {
        const plain = (it) => JSON.parse(JSON.stringify(it));
        const ours = plain(builder.toJSON());
        must(ours.options.length === options.length, `/${command.name}: ${ours.options.length} of ${options.length}`);
        judged += 1;
      } catch (why) {
        wrong.push(`/${command.name}: ${why}`);
      }
    }
  } else if (/\/(messages|@original)$|messages\/\{\}$|^POST \/webhooks\/\{\}\/\{\}$/.test(route)) {
    message(body, route);
  }
}
console.log(`${judged} judged, ${wrong.length} wrong`);
wrong.slice(0, 20).forEach((it) => console.log(it));
process.exit(wrong.length ? 1 : 0);
