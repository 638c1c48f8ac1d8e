"""hikari as the bot, against the stand-in for Discord: its deserialisers are strict about fields that are missing."""

import asyncio

import hikari
from fake import Fake, check


async def trial():
    fake = await Fake().start()
    intents = hikari.Intents.GUILDS | hikari.Intents.GUILD_MESSAGES | hikari.Intents.DM_MESSAGES
    bot = hikari.GatewayBot(fake.token, intents=intents, rest_url=f"{fake.api}/api/v10", banner=None, force_color=False)
    # It asks GET /gateway/bot for the address of its sessions.
    await bot.start(check_for_updates=False)
    guild, general = (hikari.Snowflake(fake.names[name]) for name in ("guild", "general"))

    def next_of(kind, is_it=lambda _: True):
        return asyncio.ensure_future(bot.wait_for(kind, 10, is_it))

    await asyncio.sleep(0.5)
    check("ready", str(bot.get_me().id) == fake.names["bot"] and bot.cache.get_guild(guild).name == "Shop")
    heard = next_of(hikari.GuildMessageCreateEvent)
    await fake.ask("mention", "general", "alice", "hello there")
    message = (await heard).message
    check("a mention", message.content.endswith("hello there") and bot.get_me().id in message.user_mentions_ids)
    heard = next_of(hikari.DMMessageCreateEvent)
    await fake.ask("dm", "alice", "to you alone")
    check("a direct message", (await heard).content == "to you alone")

    quiet = {"mentions_everyone": False, "user_mentions": False, "role_mentions": False}
    row = bot.rest.build_message_action_row()
    row.add_interactive_button(hikari.ButtonStyle.PRIMARY, "yes", label="Yes")
    flags = hikari.MessageFlag.SUPPRESS_EMBEDS
    asked = await bot.rest.create_message(general, "sure?", component=row, reply=message.id, flags=flags, **quiet)
    check("a reply", asked.message_reference.id == message.id and asked.components[0].components[0].label == "Yes")
    await bot.rest.edit_message(general, asked, "really?", **quiet)
    check("fetched", (await bot.rest.fetch_message(general, asked)).content == "really?")
    filed = await bot.rest.create_message(general, attachment=hikari.Bytes(b"line one\n", "log.txt"), flags=flags, **quiet)
    check("a file", filed.attachments[0].filename == "log.txt" and await filed.attachments[0].read() == b"line one\n")
    await bot.rest.add_reaction(general, message, "👀")
    thread = await bot.rest.create_message_thread(general, asked, "about it")
    check("a thread", thread.id == asked.id and thread.parent_id == general)
    await bot.rest.create_message(thread, "in it", flags=flags, **quiet)
    check("a page", [it.content async for it in bot.rest.fetch_messages(thread)][0] == "in it")
    check("active threads", [it.id for it in await bot.rest.fetch_active_threads(guild)] == [thread.id])
    check("the channel", (await bot.rest.fetch_channel(general)).name == "general")
    check("members", len(await bot.rest.fetch_members(guild)) > 3)
    check("roles", len(await bot.rest.fetch_roles(guild)) > 1)
    check("the guild", (await bot.rest.fetch_guild(guild)).name == "Shop")

    application = await bot.rest.fetch_application()
    command = bot.rest.slash_command_builder("ops", "commands")
    say = hikari.CommandOption(type=hikari.OptionType.SUB_COMMAND, name="say", description="anything", options=[
        hikari.CommandOption(type=hikari.OptionType.STRING, name="text", description="what", is_required=True, autocomplete=True)])
    command.add_option(say)
    registered = await bot.rest.set_application_commands(application, [command], guild)
    check("registered", registered[0].options[0].options[0].autocomplete is True)

    async def act(event):
        it = event.interaction
        if it.type == hikari.InteractionType.AUTOCOMPLETE:
            return await it.create_response([hikari.impl.AutocompleteChoiceBuilder("status", "status")])
        if it.type == hikari.InteractionType.MESSAGE_COMPONENT:
            return await it.create_initial_response(hikari.ResponseType.MESSAGE_UPDATE, "so be it", components=[], **quiet)
        check("whose", str(it.user.id) == fake.names["alice"] and it.guild_id == guild and it.options[0].name == "say")
        await it.create_initial_response(hikari.ResponseType.DEFERRED_MESSAGE_CREATE, flags=hikari.MessageFlag.EPHEMERAL)
        later = await it.edit_initial_response("later", **quiet)
        check("answered later", later.content == "later" and later.flags & hikari.MessageFlag.EPHEMERAL)
        await it.execute("and more", flags=hikari.MessageFlag.EPHEMERAL, **quiet)

    bot.subscribe(hikari.InteractionCreateEvent, act)
    check("typing", await fake.ask("typing", "general", "alice", "say", "text=st") == [["status", "status"]])
    check("thinking", (await fake.ask("slash", "general", "alice", "say", "text=status"))["seen"] == "thinking")
    await asyncio.sleep(2)
    check("followed up", [it["text"] for it in await fake.ask("whispers", "alice")] == ["later", "and more"])
    check("updated", (await fake.ask("click", asked.id, "alice", "Yes"))["message"]["text"] == "so be it")

    for trouble in ("reconnect", "invalidate true", "invalidate false"):
        before = await fake.ask("state")
        kind = hikari.ShardReadyEvent if trouble == "invalidate false" else hikari.ShardResumedEvent
        again = asyncio.ensure_future(bot.wait_for(kind, 30))
        await fake.ask(trouble)
        try:
            await again
        except asyncio.TimeoutError:
            check(trouble, False, "not again within 30 s")
        after = await fake.ask("state")
        check(trouble, (after["identifies"], after["resumed"]) != (before["identifies"], before["resumed"]))
        heard = next_of(hikari.GuildMessageCreateEvent, lambda event: event.content.endswith(f"after {trouble}"))
        await fake.ask("mention", "ops", "alice", f"after {trouble}")
        check(f"hears after {trouble}", await heard is not None)
    await bot.close()
    await fake.finish()


asyncio.run(asyncio.wait_for(trial(), 180))
