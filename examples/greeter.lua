-- Greets people and counts how often they wrote; a handler of type lua, see docs/handlers-lua.md.

local function visits(event)
  local person = state.get(event.user_id) or { count = 0 }
  -- After a crash an event is given again: it counts once.
  if person.event ~= event.id then
    person.count = person.count + 1
    person.event = event.id
    state.set(event.user_id, person)
  end
  return person.count
end

local commands = {}

function commands.help()
  return "Say `hello`, `card` or `sum 1 2 3`; what else you write gets a :wave:."
end

function commands.hello(event)
  local n = visits(event)
  if n == 1 then
    return "Hello @" .. event.user_name .. ", nice to meet you!"
  end
  return ("Hello @%s, welcome back! This is time %d."):format(event.user_name, n)
end

function commands.card(event)
  return {
    text = "Your card:",
    attachments = { { color = "#2e7d32", title = event.user_name, text = "Seen in ~" .. event.channel_name } },
  }
end

function commands.sum(event)
  local total = 0
  for number in event.prompt:gmatch("%-?%d+") do
    total = total + tonumber(number)
  end
  return ("That makes **%d**."):format(total)
end

function on_event(event)
  if event.kind ~= "post" then return nil end
  local word = event.prompt:lower():match("%a+")
  local command = word and commands[word]
  if command then return command(event) end
  react("wave")
  return nil
end
