"""discord.py as the bot, against the stand-in for Discord."""

import asyncio
import io
import time

import discord
from discord import app_commands
from discord.http import Route
from fake import Fake, check

QUIET = discord.AllowedMentions.none()


class Question(discord.ui.View):
    def __init__(self):
        super().__init__(timeout=None)
        self.pressed = asyncio.Queue()

    @discord.ui.button(label="Yes", custom_id="yes", style=discord.ButtonStyle.primary)
    async def yes(self, interaction, _button):
        await interaction.response.edit_message(content="so be it", view=None, allowed_mentions=QUIET)

    @discord.ui.button(label="Form", custom_id="form")
    async def form(self, interaction, _button):
        await interaction.response.send_modal(Form())


class Form(discord.ui.Modal, title="What"):
    path = discord.ui.Label(text="Path", component=discord.ui.TextInput(custom_id="path"))

    async def on_submit(self, interaction):
        await interaction.response.send_message(self.path.component.value, ephemeral=True, allowed_mentions=QUIET)


class Bot(discord.Client):
    def __init__(self):
        intents = discord.Intents(guilds=True, guild_messages=True, dm_messages=True)
        super().__init__(intents=intents, member_cache_flags=discord.MemberCacheFlags.none(), chunk_guilds_at_startup=False)
        self.tree = app_commands.CommandTree(self)
        self.resumed = asyncio.Event()

    async def on_resumed(self):
        self.resumed.set()

    async def on_error(self, event, *_arguments):
        import traceback

        check(f"no error in {event}", False, traceback.format_exc())


async def trial():
    fake = await Fake().start()
    Route.BASE = f"{fake.api}/api/v10"
    discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = discord.gateway.yarl.URL(fake.api.replace("http", "ws"))
    bot = Bot()
    ops = app_commands.Group(name="ops", description="commands")

    @ops.command(name="say", description="anything")
    async def say(interaction, text: str):
        await interaction.response.defer(ephemeral=True)
        await interaction.edit_original_response(content=f"heard {text}", allowed_mentions=QUIET)
        await interaction.followup.send("and more", ephemeral=True, allowed_mentions=QUIET)

    @say.autocomplete("text")
    async def may_follow(_interaction, typed):
        return [app_commands.Choice(name=typed + "atus", value="status")]

    bot.tree.add_command(ops)
    running = asyncio.create_task(bot.start(fake.token))
    running.add_done_callback(lambda task: task.cancelled() or task.exception() and print(repr(task.exception())))
    await asyncio.wait_for(bot.wait_until_ready(), 30)

    def next_of(event, is_it=lambda *_: True):
        return asyncio.ensure_future(bot.wait_for(event, check=is_it, timeout=10))

    guild = bot.get_guild(int(fake.names["guild"]))
    general = guild.get_channel(int(fake.names["general"]))
    check("ready", str(bot.user.id) == fake.names["bot"] and guild.name == "Shop" and guild.me is not None)
    may = general.permissions_for(guild.me)
    check("may write", may.send_messages and may.create_public_threads and may.read_message_history, may)
    hidden = guild.get_channel(int(fake.names["hidden"]))
    check("may not see", hidden is None or not hidden.permissions_for(guild.me).view_channel)

    heard = next_of("message")
    await fake.ask("mention", "general", "alice", "hello there")
    message = await heard
    check("a mention", message.content.endswith("hello there") and bot.user in message.mentions)
    check("its member", isinstance(message.author, discord.Member) and message.guild == guild)
    heard = next_of("message_edit")
    await fake.ask("edit", message.id, "hello again")
    check("an edit", (await heard)[1].content.endswith("hello again"))
    heard = next_of("message", lambda it: it.guild is None)
    await fake.ask("dm", "alice", "to you alone")
    check("a direct message", (await heard).content == "to you alone")

    await message.add_reaction("👀")
    asked = await message.reply("**sure?**", view=Question(), allowed_mentions=QUIET, suppress_embeds=True)
    check("a reply", asked.reference.message_id == message.id and len(asked.components[0].children) == 2)
    asked = await asked.edit(content="really?", allowed_mentions=QUIET)
    check("its edit", (await general.fetch_message(asked.id)).content == "really?")
    filed = await general.send(file=discord.File(io.BytesIO(b"line one\n"), "log.txt"), allowed_mentions=QUIET,
                               suppress_embeds=True)
    check("a file", filed.attachments[0].filename == "log.txt" and await filed.attachments[0].read() == b"line one\n")
    layout = discord.ui.LayoutView()
    layout.add_item(discord.ui.TextDisplay("x" * 3_000))
    shown = await general.send(view=layout, allowed_mentions=QUIET)
    check("components alone", shown.flags.components_v2 and len(shown.components[0].content) == 3_000)
    check("a page", len([it async for it in general.history(limit=3)]) == 3)
    await filed.delete()

    thread = await asked.create_thread(name="about it", auto_archive_duration=1440)
    check("a thread", thread.id == asked.id and thread.parent == general and thread.owner_id == bot.user.id)
    await thread.send("in it", allowed_mentions=QUIET, suppress_embeds=True)
    thread = await thread.edit(archived=True)
    check("archived", thread.archived)
    thread = await thread.edit(archived=False)
    check("active threads", thread.id in [it.id for it in await guild.active_threads()])

    synced = await bot.tree.sync(guild=guild) if bot.tree.copy_global_to(guild=guild) else await bot.tree.sync(guild=guild)
    check("registered", [it.name for it in synced] == ["ops"])
    check("typing", await fake.ask("typing", "general", "alice", "say", "text=st") == [["status", "status"]])
    heard = next_of("interaction", lambda it: it.type == discord.InteractionType.application_command)
    seen = await fake.ask("slash", "general", "alice", "say", "text=status")
    it = await heard
    check("thinking", seen["seen"] == "thinking", seen)
    check("whose", str(it.user.id) == fake.names["alice"] and it.guild == guild and it.channel == general)
    check("with what", it.app_permissions.send_messages and it.permissions.view_channel and it.context.guild)
    await asyncio.sleep(2)
    whispers = [it["text"] for it in await fake.ask("whispers", "alice")]
    check("answered later", whispers == ["heard status", "and more"], whispers)
    seen = await fake.ask("click", asked.id, "alice", "Form")
    check("a form", seen["seen"] == "form", seen)
    seen = await fake.ask("submit", "alice", "path=/sale")
    check("filled in", seen.get("message", {}).get("text") == "/sale", seen)
    seen = await fake.ask("click", asked.id, "alice", "Yes")
    check("updated", seen.get("message", {}).get("text") == "so be it", seen)

    began = time.monotonic()
    await asyncio.gather(*(general.send(f"burst {nth}", allowed_mentions=QUIET, suppress_embeds=True) for nth in range(12)))
    check("twelve posts take their time", time.monotonic() - began > 4, time.monotonic() - began)
    refusals = (await fake.ask("state"))["refusals"]
    check("and are not refused", all(status != 429 for _, status, _ in refusals), refusals)
    for scope in ("user", "shared", "global"):
        await fake.ask("refuse", 1, scope, 1.5)
        await general.send(scope, allowed_mentions=QUIET, suppress_embeds=True)
    texts = [it["text"] for it in (await fake.ask("messages", "general"))[-3:]]
    check("refused and sent again", texts == ["user", "shared", "global"], texts)
    await fake.ask("refuse", 1, "cloudflare", 1.5)
    try:
        await general.send("banned", allowed_mentions=QUIET, suppress_embeds=True)
        check("a ban is known", False)
    except discord.HTTPException as why:
        check("a ban is known", why.status == 429)
    await asyncio.sleep(1.5)

    for trouble in ("reconnect", "cut", "invalidate true", "invalidate false"):
        before = await fake.ask("state")
        bot.resumed.clear()
        again = next_of("ready") if trouble == "invalidate false" else bot.resumed.wait()
        await fake.ask(trouble)
        try:
            await asyncio.wait_for(again, 30)
        except asyncio.TimeoutError:
            check(trouble, False, "not again within 30 s")
        after = await fake.ask("state")
        name = "identifies" if trouble == "invalidate false" else "resumed"
        check(f"{trouble}: {name}", after[name] > before[name])
        heard = next_of("message", lambda it: it.content.endswith(f"after {trouble}"))
        await fake.ask("mention", "ops", "alice", f"after {trouble}")
        check(f"hears after {trouble}", await heard is not None)
    await bot.close()
    await fake.finish()


asyncio.run(asyncio.wait_for(trial(), 180))
