-- Wireshark dissector for vxseal's outer format: the sealed UDP port, protocol version 1.
--
-- Install: copy into the personal Lua plugins folder (Help > About Wireshark > Folders), or for once:
--   tshark -X lua_script:Tools/wireshark/vxseal.lua -r file.pcapng
-- Another port than 47890: preferences of the protocol, or -o vxseal.port:PORT
--
-- Frames inside transport data are sealed: see them with `vxseal capture`.

local vxseal = Proto("vxseal", "vxseal sealed VXLAN")

local INITIATION, RESPONSE, COOKIE, TRANSPORT = 1, 2, 3, 4
local names = {
    [INITIATION] = "Handshake initiation",
    [RESPONSE] = "Handshake response",
    [COOKIE] = "Cookie reply",
    [TRANSPORT] = "Transport data",
}
-- Bytes of a handshake message, exactly.
local sizes = { [INITIATION] = 1352, [RESPONSE] = 1220, [COOKIE] = 64 }
local HEADER, TAG = 16, 16

local f = {
    type = ProtoField.uint8("vxseal.type", "Message type", base.DEC, names),
    lane = ProtoField.uint8("vxseal.lane", "Lane"),
    reserved = ProtoField.bytes("vxseal.reserved", "Reserved"),
    sender = ProtoField.uint32("vxseal.sender", "Sender index", base.HEX),
    receiver = ProtoField.uint32("vxseal.receiver", "Receiver index", base.HEX),
    counter = ProtoField.uint64("vxseal.counter", "Counter"),
    records = ProtoField.bytes("vxseal.records", "Encrypted records"),
    records_length = ProtoField.uint32("vxseal.records.length", "Length of records"),
    tag = ProtoField.bytes("vxseal.tag", "AEAD tag"),
    ephemeral = ProtoField.bytes("vxseal.ephemeral", "Ephemeral key (X25519)"),
    kem_key = ProtoField.bytes("vxseal.kem.key", "Encrypted encapsulation key (ML-KEM-768)"),
    kem_ciphertext = ProtoField.bytes("vxseal.kem.ciphertext", "Encrypted KEM ciphertext (ML-KEM-768)"),
    static = ProtoField.bytes("vxseal.static", "Encrypted static key"),
    payload = ProtoField.bytes("vxseal.payload", "Encrypted payload"),
    mac1 = ProtoField.bytes("vxseal.mac1", "mac1"),
    mac2 = ProtoField.bytes("vxseal.mac2", "mac2"),
    has_mac2 = ProtoField.bool("vxseal.has_mac2", "Answers a cookie"),
    nonce = ProtoField.bytes("vxseal.nonce", "Nonce"),
    cookie = ProtoField.bytes("vxseal.cookie", "Encrypted cookie"),
}
vxseal.fields = {}
for _, field in pairs(f) do table.insert(vxseal.fields, field) end

local e = {
    type = ProtoExpert.new("vxseal.type.unknown", "No message of protocol version 1",
        expert.group.MALFORMED, expert.severity.ERROR),
    length = ProtoExpert.new("vxseal.length.invalid", "Length does not fit the message type",
        expert.group.MALFORMED, expert.severity.ERROR),
    reserved = ProtoExpert.new("vxseal.reserved.not_zero", "Reserved bytes are not zero",
        expert.group.PROTOCOL, expert.severity.WARN),
    keepalive = ProtoExpert.new("vxseal.keepalive", "Keepalive: no records",
        expert.group.SEQUENCE, expert.severity.CHAT),
}
vxseal.experts = { e.type, e.length, e.reserved, e.keepalive }

vxseal.prefs.port = Pref.uint("UDP port", 47890, "The port that vxseal listens on")

local function add_reserved(tree, buffer, offset, length)
    local range = buffer(offset, length)
    local item = tree:add(f.reserved, range)
    for place = 0, length - 1 do
        if range(place, 1):uint() ~= 0 then
            item:add_proto_expert_info(e.reserved)
            return
        end
    end
end

-- Adds fields of { field, length } one after the other, from an offset.
local function add_fields(tree, buffer, offset, layout)
    for _, entry in ipairs(layout) do
        tree:add(entry[1], buffer(offset, entry[2]))
        offset = offset + entry[2]
    end
    return offset
end

local function add_macs(tree, buffer, offset)
    tree:add(f.mac1, buffer(offset, 16))
    local mac2 = buffer(offset + 16, 16)
    tree:add(f.mac2, mac2)
    local present = false
    for place = 0, 15 do present = present or mac2(place, 1):uint() ~= 0 end
    tree:add(f.has_mac2, mac2, present):set_generated()
end

local dissect = {
    [INITIATION] = function(tree, buffer)
        local offset = add_fields(tree, buffer, 4, {
            { f.sender, 4 }, { f.ephemeral, 32 }, { f.kem_key, 1200 }, { f.static, 48 }, { f.payload, 32 },
        })
        add_macs(tree, buffer, offset)
        return string.format("sender=0x%08x", buffer(4, 4):uint())
    end,
    [RESPONSE] = function(tree, buffer)
        local offset = add_fields(tree, buffer, 4, {
            { f.sender, 4 }, { f.receiver, 4 }, { f.ephemeral, 32 }, { f.kem_ciphertext, 1104 }, { f.payload, 40 },
        })
        add_macs(tree, buffer, offset)
        return string.format("sender=0x%08x receiver=0x%08x", buffer(4, 4):uint(), buffer(8, 4):uint())
    end,
    [COOKIE] = function(tree, buffer)
        add_fields(tree, buffer, 4, { { f.receiver, 4 }, { f.nonce, 24 }, { f.cookie, 32 } })
        return string.format("receiver=0x%08x", buffer(4, 4):uint())
    end,
}

local function dissect_transport(tree, buffer, length)
    tree:add(f.lane, buffer(1, 1))
    add_reserved(tree, buffer, 2, 2)
    tree:add(f.receiver, buffer(4, 4))
    tree:add(f.counter, buffer(8, 8))
    -- What was cut by a snap length is not shown, but counted.
    local records = length - HEADER - TAG
    local kept = math.min(records, buffer:len() - HEADER)
    if kept > 0 then tree:add(f.records, buffer(HEADER, kept)) end
    local item = tree:add(f.records_length, records)
    item:set_generated()
    if records == 0 then item:add_proto_expert_info(e.keepalive) end
    if buffer:len() >= length then tree:add(f.tag, buffer(length - TAG, TAG)) end
    return string.format("lane=%d receiver=0x%08x counter=%s len=%d",
        buffer(1, 1):uint(), buffer(4, 4):uint(), tostring(buffer(8, 8):uint64()), records)
end

function vxseal.dissector(buffer, info, root)
    local length, kept = buffer:reported_len(), buffer:len()
    if length == 0 or kept == 0 then return 0 end
    local type = buffer(0, 1):uint()
    info.cols.protocol = "vxseal"
    local tree = root:add(vxseal, buffer())
    local item = tree:add(f.type, buffer(0, 1))
    local name = names[type]
    if not name then
        item:add_proto_expert_info(e.type)
        info.cols.info = string.format("Unknown message 0x%02x", type)
        return kept
    end
    tree:append_text(", " .. name)
    local fits = type == TRANSPORT and length >= HEADER + TAG or length == sizes[type]
    if not fits then
        item:add_proto_expert_info(e.length)
        info.cols.info = string.format("%s, invalid length %d", name, length)
        return kept
    end
    local words
    if type == TRANSPORT then
        if kept >= HEADER then words = dissect_transport(tree, buffer, length) end
    elseif kept == length then
        add_reserved(tree, buffer, 1, 3)
        words = dissect[type](tree, buffer)
    end
    info.cols.info = words and (name .. ", " .. words) or (name .. ", cut")
    return kept
end

local registered
local function register()
    local ports = DissectorTable.get("udp.port")
    if registered then ports:remove(registered, vxseal) end
    registered = vxseal.prefs.port
    ports:add(registered, vxseal)
end
function vxseal.prefs_changed() if registered ~= vxseal.prefs.port then register() end end
register()
