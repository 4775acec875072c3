// The emoji that this page knows by name. Others show as :name:.

const TABLE = `
+1 👍|-1 👎|thumbsup 👍|thumbsdown 👎|ok_hand 👌|clap 👏|wave 👋|pray 🙏|muscle 💪|point_up ☝️|point_right 👉
point_left 👈|point_down 👇|raised_hands 🙌|handshake 🤝|v ✌️|crossed_fingers 🤞|eyes 👀|brain 🧠
smile 😄|slightly_smiling_face 🙂|grinning 😀|smiley 😃|grin 😁|laughing 😆|joy 😂|rofl 🤣|wink 😉|blush 😊
heart_eyes 😍|kissing_heart 😘|thinking 🤔|thinking_face 🤔|neutral_face 😐|roll_eyes 🙄|smirk 😏|relieved 😌
sleepy 😪|sleeping 😴|cry 😢|sob 😭|angry 😠|rage 😡|scream 😱|flushed 😳|sweat_smile 😅|sunglasses 😎|nerd_face 🤓
confused 😕|worried 😟|open_mouth 😮|hugs 🤗|shrug 🤷|facepalm 🤦|robot 🤖|robot_face 🤖|ghost 👻|alien 👽
heart ❤️|yellow_heart 💛|green_heart 💚|blue_heart 💙|purple_heart 💜|broken_heart 💔|sparkles ✨|star ⭐|star2 🌟
fire 🔥|boom 💥|zap ⚡|100 💯|tada 🎉|confetti_ball 🎊|balloon 🎈|gift 🎁|trophy 🏆|medal_sports 🏅|rocket 🚀
white_check_mark ✅|heavy_check_mark ✔️|ballot_box_with_check ☑️|x ❌|heavy_plus_sign ➕|heavy_minus_sign ➖
warning ⚠️|rotating_light 🚨|no_entry ⛔|no_entry_sign 🚫|question ❓|exclamation ❗|bangbang ‼️
information_source ℹ️|bulb 💡|bell 🔔|no_bell 🔕|mega 📣|loudspeaker 📢|speech_balloon 💬|thought_balloon 💭
hourglass ⌛|hourglass_flowing_sand ⏳|stopwatch ⏱️|alarm_clock ⏰|clock1 🕐|calendar 📅|date 📅|repeat 🔁
arrows_counterclockwise 🔄|arrow_right ➡️|arrow_left ⬅️|arrow_up ⬆️|arrow_down ⬇️|rewind ⏪|fast_forward ⏩
red_circle 🔴|large_blue_circle 🔵|green_circle 🟢|yellow_circle 🟡|orange_circle 🟠|white_circle ⚪|black_circle ⚫
lock 🔒|unlock 🔓|key 🔑|mag 🔍|link 🔗|paperclip 📎|pushpin 📌|memo 📝|pencil2 ✏️|clipboard 📋|bookmark 🔖
package 📦|inbox_tray 📥|outbox_tray 📤|email 📧|envelope ✉️|file_folder 📁|open_file_folder 📂|page_facing_up 📄
chart_with_upwards_trend 📈|chart_with_downwards_trend 📉|bar_chart 📊|computer 💻|desktop_computer 🖥️|keyboard ⌨️
floppy_disk 💾|cd 💿|satellite 📡|electric_plug 🔌|battery 🔋|wrench 🔧|hammer 🔨|hammer_and_wrench 🛠️|gear ⚙️
construction 🚧|bug 🐛|ant 🐜|snail 🐌|turtle 🐢|rabbit 🐰|cat 🐱|dog 🐶|fox_face 🦊|penguin 🐧|whale 🐳|unicorn 🦄
coffee ☕|tea 🍵|beer 🍺|beers 🍻|wine_glass 🍷|pizza 🍕|cake 🍰|cookie 🍪|apple 🍎|sunny ☀️|cloud ☁️|rainbow 🌈
snowflake ❄️|umbrella ☔|earth_africa 🌍|earth_americas 🌎|moon 🌙|ship 🚢|airplane ✈️|car 🚗|bike 🚲|house 🏠
office 🏢|hospital 🏥|checkered_flag 🏁|white_flag 🏳️|triangular_flag_on_post 🚩|dart 🎯|game_die 🎲|musical_note 🎵
art 🎨|camera 📷|tv 📺|phone ☎️|iphone 📱|moneybag 💰|recycle ♻️|copyright ©️|tm ™️|one 1️⃣|two 2️⃣|three 3️⃣
`;

const byName = new Map(TABLE.trim().split(/[|\n]/).map((entry) => entry.split(' ')));

export const emojiFor = (name) => byName.get(name);
export const emojiNames = () => [...byName.keys()];

// What the picker offers first.
export const COMMON = ['+1', '-1', 'smile', 'joy', 'heart', 'tada', 'eyes', 'rocket', 'white_check_mark', 'x',
  'thinking', 'pray', 'clap', 'fire', '100', 'wave', 'warning', 'question', 'bulb', 'robot', 'sparkles', 'coffee',
  'bug', 'cry'];
