# rpcfan.bash - completion of rpcfan(1) for bash.
_rpcfan() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} word command=
    local global="-c --config -n --network -u --url --ws-url --family --profile --policy --quorum
        --split --hedge --join --gather --rate --start --in-flight --batch --timeout --deadline --header --cacert
        --http2 --jwt-secret-file --rules --state --log-level --log-format --no-progress --version --help"
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in call | batch | subscribe | index | check | explain | sim | help)
            command=$word
            break
            ;;
        esac
    done
    COMPREPLY=()
    case $prev in
    -c | --config | --cacert | --jwt-secret-file | --rules | --state | -o | --output | --script | \
        --accounts | --db)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    --profile)
        word=$(rpcfan check --profiles 2>/dev/null | cut -d ' ' -f 1)
        mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur")
        return
        ;;
    --policy)
        word="balance failover first quorum broadcast"
        mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur")
        return
        ;;
    --overflow)
        word="latest block drop-oldest drop-newest"
        mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur")
        return
        ;;
    --commitment)
        word="confirmed processed finalized"
        mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur")
        return
        ;;
    --encoding) mapfile -t COMPREPLY < <(compgen -W "base64 base64+zstd" -- "$cur") && return ;;
    --copies) mapfile -t COMPREPLY < <(compgen -W "1 2" -- "$cur") && return ;;
    --split) mapfile -t COMPREPLY < <(compgen -W "range none" -- "$cur") && return ;;
    --family) mapfile -t COMPREPLY < <(compgen -W "evm solana generic" -- "$cur") && return ;;
    --log-level) mapfile -t COMPREPLY < <(compgen -W "error warn info debug" -- "$cur") && return ;;
    --log-format) mapfile -t COMPREPLY < <(compgen -W "text json" -- "$cur") && return ;;
    -u | --url | --ws-url | --program | --filter | --queue | --queue-bytes | --count | --for | --sweep | \
        --audit | -n | --network | --quorum | --hedge | --start | --rate | --in-flight | --batch | \
        --timeout | --deadline | --header | -m | --method | -p | --params | --window | --status | --body) return ;;
    esac
    case $command in
    '') word="$global call batch subscribe index check explain sim help" ;;
    call) word=$global ;;
    batch)
        word="$global -m --method -p --params -o --output --resume --unordered --window
            --summary --summary=json"
        ;;
    subscribe)
        word="$global --events --count --for --copies --queue --queue-bytes --overflow"
        ;;
    index)
        word="$global --program --filter --accounts --commitment --encoding --db --history --emit
            --once --for --verify --queue --queue-bytes --overflow --sweep --audit --copies
            --summary --summary=json"
        ;;
    check) word="$global --live --profiles" ;;
    explain)
        word="--family --rules --status --header --body -m --method -p --params --batch --json
            --list --help"
        ;;
    help) word="call batch subscribe index check explain sim" ;;
    sim)
        word="--listen --script --solana --knobs --program --logs --reorg --ws --for --access-log --check --print-port --quiet --help --family
            --chain-id --head --block-time --churn --seed --latency --transit --workers
            --rate --concurrency --batch-max --body-max --response-max --range-max --inputs-max --keepalive
            --answer --track --fault --solana --knobs --ws --program --reorg --logs"
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$word" -- "$cur")
    if [[ $command == batch && $cur != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    fi
}
complete -o filenames -F _rpcfan rpcfan
