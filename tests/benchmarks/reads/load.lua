-- Sends the lines of a file, `METHOD<tab>PATH<tab>BODY`, in a scattered order; REQUESTS names it, KEY the API key.
local lines, n, i = {}, 0, 0

function init()
  local headers = { ["Content-Type"] = "application/json" }
  if os.getenv("KEY") then headers["Authorization"] = "Bearer " .. os.getenv("KEY") end
  for line in io.lines(os.getenv("REQUESTS")) do
    local method, path, body = line:match("^(%u+)\t([^\t]*)\t(.*)$")
    n = n + 1
    lines[n] = wrk.format(method, path, headers, body ~= "" and body or nil)
  end
  math.randomseed(os.time())
  i = math.random(n)
end

-- a stride that is prime to the number of lines visits each before it repeats one
function request()
  i = (i + 7919) % n
  return lines[i + 1]
end

function done(summary, latency)
  local wrong = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format('JSON {"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"wrong":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), wrong))
end
