-- The health of a ScopeBinding, from what the operator says in its status (kstatus).
local health = { status = "Progressing", message = "waits for the operator" }
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return health
end

-- What is said of an earlier generation says nothing of this one.
local conditions = {}
for _, condition in ipairs(obj.status.conditions or {}) do
  if condition.observedGeneration == nil or condition.observedGeneration == obj.metadata.generation then
    conditions[condition.type] = condition
  end
end

local function is(kind, status)
  return conditions[kind] ~= nil and conditions[kind].status == status
end

local function as(status, kind)
  health.status = status
  health.message = conditions[kind].reason .. ": " .. (conditions[kind].message or "")
  return health
end

-- A person has to act: the message says how.
if is("Stalled", "True") then
  return as("Degraded", "Stalled")
end
if is("Reconciling", "True") then
  return as("Progressing", "Reconciling")
end
if is("Ready", "True") then
  -- What is withheld on purpose is worth a word, and no failure.
  if is("Synced", "False") then
    return as("Healthy", "Synced")
  end
  return as("Healthy", "Ready")
end
if is("Ready", "False") then
  -- Somebody paused it, on the Target or with a hold.
  local reason = conditions["Ready"].reason
  if reason == "Suspended" or reason == "Policy" or reason == "Held" then
    return as("Suspended", "Ready")
  end
  return as("Degraded", "Ready")
end
return health
