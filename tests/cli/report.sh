#!/bin/bash
# algoperf-score report and plot: the page as a browser shows it (headless Chromium), nothing loaded from elsewhere, names
# of files that try to be code, single figures, and what is said without gnuplot.
. "$(dirname "$0")/lib.sh"
command -v gnuplot >/dev/null || skip "no gnuplot (apt-get install gnuplot-nox)"

# log SUBMISSION STUDY WORKLOAD TRIAL SECONDS RATE: a log that reaches an accuracy of 0.9 in its third row.
log() {
  local folder="$T/logs/$1/$2/$3/$4"
  mkdir -p "$folder"
  printf 'accumulated_submission_time,global_step,score,validation/accuracy\n1,10,1,0.5\n2,20,2,0.8\n%s,30,%s,0.9\n' "$5" "$5" \
    >"$folder/eval_measurements.csv"
  printf '{"learning_rate": %s, "<b>": %s, "name": "x"}\n' "$6" "$5" >"$folder/hparams.json"
}
table="$T/targets.csv"
{
  echo workload,role,base_workload,metric,direction,validation_target,max_runtime_external_s
  echo w,base,w,accuracy,max,0.9,100
  echo "v'|<i>&%s,base,v,accuracy,max,0.9,100"
} >"$table"
evil='<img src=x onerror=alert(1)>' # a folder may have any name
quote="it's \"\`date\`\" %s \$x #"
for study in study_0 study_1; do
  for trial in 1 2 3; do
    log plain $study w_jax trial_$trial 1$trial 0.$trial
    log "$evil" $study w_pytorch trial_$trial 2$trial 0.0$trial
    log "$quote" $study "v'|<i>&%s_jax" trial_$trial 3$trial $trial
  done
done

page="$T/report.html"
report() { "$SCORE" report "$T/logs" --targets "$table" --resamples 200 "$@"; }
plot() { "$SCORE" plot "$@" "$T/logs" --targets "$table"; }
export SCORE T table page; export -f report plot
expect 2 "output is missing" bash -c 'report'
expect 2 "folder of results is missing" "$SCORE" report
expect 5 "No such file" bash -c 'report --output "$T/nowhere/report.html"'
expect 0 "" bash -c 'report --output "$page" 2>&1 && echo written'
[ -s "$page" ] && pass "page of $(wc -c <"$page") bytes" || fail "no page"
cp "$page" "$T/first.html"
report --output "$page" 2>/dev/null
cmp -s "$page" "$T/first.html" && pass "the same results give the same page" || fail "two pages differ"

# What is in the page: names as text only, and nothing that could load anything.
grep -q '<img\|<i>&\|<script\|onerror=[^a]' "$page" && fail "a name became markup: $(grep -o '.\{30\}<img.\{20\}' "$page" | head -1)" ||
  pass "names are text"
grep -q '&lt;img src=x onerror=alert(1)&gt;' "$page" && pass "and they are there" || fail "the name is not there"
leaves=$(sed 's/xmlns\(:xlink\)\?="[^"]*"//g' "$page" | grep -o 'https\?://[^"<> ]*\|url([^)#]*)\|@import' | head -3)
[ -z "$leaves" ] && pass "no address outside" || fail "the page names $leaves"
ids=$(grep -o ' id=["'"'"'][^"'"'"']*' "$page" | tr -d "\"'" | sort | uniq -d)
[ -z "$ids" ] && pass "every id is there once" || fail "ids that are there twice: $ids"

# Figures: scores, profiles, matrix, a curve for each of two workloads, hyperparameters of three submissions.
figures() { grep -o '<svg role="img" aria-labelledby="fig[0-9]*-t fig[0-9]*-d"' "$1" | wc -l; }
[ "$(figures "$page")" -eq 8 ] && pass "8 figures" || fail "$(figures "$page") figures"
for title in "Benchmark scores" "Performance profiles" "Ratio to the fastest" "Training curves: w" "Hyperparameters: plain"; do
  grep -q "<title id=\"fig[0-9]*-t\">$title" "$page" && pass "figure $title" || fail "no figure $title"
done
[ "$(grep -c '<desc id="fig' "$page")" -ge 1 ] && [ "$(grep -o '<desc id="fig[0-9]*-d">.' "$page" | wc -l)" -eq 8 ] &&
  pass "each has a description" || fail "descriptions are missing"

# Single figures in all formats.
for figure in scores profiles matrix "curves --workload w" "hyperparameters --submission plain"; do
  for suffix in svg png pdf; do
    rm -f "$T/figure.$suffix"
    # shellcheck disable=SC2086
    set -- $figure
    plot "$@" --output "$T/figure.$suffix" 2>"$T/err" || { fail "plot $figure: $(tail -n 1 "$T/err")"; continue; }
    case $suffix in svg) magic='<?xml' ;; png) magic='PNG' ;; *) magic='%PDF' ;; esac
    head -c 8 "$T/figure.$suffix" | grep -qa "$magic" && pass "plot $figure as $suffix" || fail "plot $figure: no $suffix"
  done
done
expect 2 "did you mean curves" bash -c 'plot curve --output "$T/x.svg"'
expect 2 "must end in .svg" bash -c 'plot scores --output "$T/x.gif"'
expect 2 "output is missing" bash -c 'plot scores'
expect 2 "must be one of: w" bash -c 'plot curves --output "$T/x.svg"'
expect 2 "there is no submission \"nobody\"" bash -c 'plot hyperparameters --submission nobody --output "$T/x.svg"'

# Without gnuplot: what to install, and no half of a page.
mkdir "$T/empty"
rm -f "$T/none.html"
expect 7 "apt-get install gnuplot-nox" env PATH="$T/empty" "$SCORE" report "$T/logs" --targets "$table" --output "$T/none.html"
[ ! -e "$T/none.html" ] && pass "nothing was written" || fail "a page was written"
# A full disk for the figures' temporary files, and a folder that is none.
expect 5 "temporary folder cannot be made" env TMPDIR="$T/nowhere" "$SCORE" report "$T/logs" --targets "$table" --output "$T/none.html"

# In a browser: it shows all figures, says nothing on its console, and asks nobody for anything.
command -v chromium >/dev/null || { echo "not checked in a browser: no chromium (apt-get install chromium)"; done_testing; }
browse() { # browse FILE: its DOM to $T/dom, console to $T/console, requests to $T/net
  timeout 300 chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-sync \
    --disable-background-networking --disable-component-update --disable-default-apps --user-data-dir="$T/profile" \
    --enable-logging=stderr --log-net-log="$T/net" --virtual-time-budget=5000 --dump-dom "file://$1" >"$T/dom" 2>"$T/console"
}
requests() { grep -o '"url":"[^"]*"' "$T/net" | sort -u | grep "^\"url\":\"[a-z]*:" | grep -v "$2" | grep -c "$1"; }
browse "$page" || fail "chromium: $(tail -n 2 "$T/console")"
[ "$(figures "$T/dom")" -eq 8 ] && pass "the browser has 8 figures" || fail "the browser has $(figures "$T/dom") figures"
grep -q 'CONSOLE' "$T/console" && fail "$(grep -m1 CONSOLE "$T/console")" || pass "no word on the console"
[ "$(requests 'http' 'google')" -eq 0 ] && pass "no request left the page" || fail "requests: $(grep -o '"url":"http[^"]*"' "$T/net" | sort -u)"
# The same eyes see what a bad page does.
sed 's|</main>|<img src="http://127.0.0.1:9/x.png"><script>console.error("seen")</script></main>|; s|<meta http-equiv[^>]*>||' "$page" >"$T/bad.html"
sed -i '/^<meta http-equiv/,/data:">$/d' "$T/bad.html"
browse "$T/bad.html"
grep -q 'CONSOLE' "$T/console" && pass "a console message would be seen" || fail "a console message is not seen"
[ "$(requests '127.0.0.1:9' 'google')" -ge 1 ] && pass "a request would be seen" || fail "a request is not seen"
done_testing
