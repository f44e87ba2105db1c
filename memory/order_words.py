"""The words that orders are made of, by concept, in some twenty languages; memory/orders.py says what they add up to.

A star stands for any ending, or any beginning; an underscore joins the words of a phrase. Accents do not matter: words
are folded as texts are. Scripts without spaces stand in `order_words_unspaced`. To teach it a language, add the
language's words to OVERRIDE, RULES, PAST and ALL at least.
"""

from __future__ import annotations

WORDS = {
    "OVERRIDE": """
        ignore disregard forget override bypass neglect dismiss discard abandon erase set_aside
        take_no_notice pay_no_attention do_not_follow don_t_follow do_not_obey don_t_obey stop_following
        stop_obeying no_longer_follow ignoriere ignoriert ignorieren vergiss vergesst vergessen
        missachte missachten beachte_nicht befolge_nicht befolge_keine verwirf ignorez oublie oubliez
        tiens_pas_compte tenez_pas_compte fais_abstraction faites_abstraction suis_plus suivez_plus
        ignora ignorar olvida olvide olvidate caso_omiso no_sigas no_siga deja_de_seguir ignorate ignori
        dimentica dimenticate dimentichi non_seguire non_tenere_conto non_considerare esqueca esquece
        desconsidere desconsidera nao_siga deixe_de_seguir negeer negeert vergeet volg_niet let_niet_op
        игнорируй* проигнорируй* забудь забудьте не_обращай_внимания не_обращайте_внимания не_следуй*
        отбрось* не_учитывай* пренебреги* zignoruj ignoruj zapomnij pomin unut yoksay görmezden_gel 무시*
        잊어* تجاهل* uberschreib* umgehe umgeh uberspringe contourne contournez outrepasse sobrescribe
        anula elude sovrascrivi aggira sobrescreva contorne overschrijf omzeil обойди* отмени*
        nie_przestrzegaj forgo leave_aside put_aside throw_out wipe_out no_longer_obey overlook
        neglect_all ігноруй* проігноруй* не_виконуй* не_слухай* відкинь* знехтуй* ignorer ignorera glem
        glöm bortse_fra bortse_från se_bort_fra overstyr abaikan lupakan jangan_ikuti bỏ_qua phớt_lờ
        do_not_heed не_выполняй* не_слушай* no_hagas_caso ne_suis_pas ne_suivez_pas yok_say yok_sayin
        gormezden_gelin dikkate_alma dikkate_almayin""",
    "RULES": """
        instruction* guideline* directive* rule rules prompt constraint* restriction* programming
        training policy policies commands guardrail* anweisung* instruktion* regel regeln vorgabe*
        richtlinie* weisung* befehle consigne* regle regles instruccion* regla reglas directri*
        directiv* indicaciones normas istruzion* regola regole direttiv* indicazioni instruco* regra
        regras diretri* orientaco* instructie* regels richtlijn* opdrachten инструкц* правил* указани*
        предписани* установк* instrukcj* polece* zasad* talimat* 지시* 지침* 명령* 규칙* تعليمات التعليمات
        *regeln *anweisungen *richtlinien *vorgaben *instruktionen *instructies інструкц* вказівк*
        настанов* instruks* regler retningslinj* riktlinj* anvisning* instruksi perintah aturan
        hướng_dẫn chỉ_thị quy_tắc mệnh_lệnh""",
    "PAST": """
        previous previously prior above earlier preceding before foregoing initial original former
        existing current so_far until_now up_to_now past bisherig* vorherig* vorig* fruher* obig* zuvor
        vorher bis_jetzt vorangegangen* precedent* anterieur* jusqu_ici jusqu_a_present ci_dessus
        initiales recues anterior* previas previos hasta_ahora iniciales precedenz* ricevute recebidas
        eerdere voorgaande bovenstaande vorige предыдущ* прежн* ранее выше* poprzedni* wczesniejsz*
        onceki 이전* 앞선 위의 السابقة попередн* раніше tidligere forrige foregående tidigare föregående
        yukaridaki sebelumnya terdahulu trước_đó trước_đây""",
    "YOUR": """
        your you yours dein* dir dich du tes ton ta te tu vos votre tus ti tuo tua tuoi tue seu sua seus suas
        teu voce jouw jij je uw твои* твое* твою твоя тебе тебя ты сво* ваш* вам twoje ci""",
    "ALL": """
        all any every each alle allen saemtliche samtliche* tout toute toutes tous todas todos toda
        tutte tutti al все всех весь wszystkie wszystko tum butun 모든 جميع усі всі samtlige samtliga
        semua seluruh tất_cả""",
    "EVERYTHING": "everything anything alles tout todo tutto tudo все wszystko",
    "TOLD": """
        you_were_told you_were_given you_have_been_told you_have_been_given you_ve_been_told you_ve_been_given
        you_received you_learned you_were_taught gesagt_wurde gegeben_wurde* on_t_a_dit on_t_a_donne* te_dijeron
        te_dieron te_han_dicho te_han_dado ti_hanno_detto ti_hanno_dato stato_detto te_disseram te_deram recebeu
        je_verteld is_verteld je_gekregen тебе_сказали тебе_говорили тебе_дали you_ve_been_instructed
        you_have_been_instructed you_were_instructed text_before everything_before anything_before
        everything_up_to all_text_above your_developer*_said your_developer*_told your_creator*_said
        your_creator*_told your_maker*_said your_maker*_told your_programmer*_said your_programmer*_told""",
    "SHOW": """
        print output repeat display show echo recite tell_me give_me write_out zeig* gib nenne
        wiederhole affiche* montre* repete* donne* muestra muestre repite imprime mostra mostri ripeti
        stampa mostre exiba imprima repita toon herhaal geef покажи* выведи* напечатай* повтори* сообщи*
        pokaz wyswietl виведи* goster gosterin yazdir tampilkan hiển_thị""",
    "LEAK": """
        reveal leak dump disclose divulge expose exfiltrate verrate verrat offenbare revele* divulgue*
        revela revele rivela rivelate revelar divulga onthul раскрой* разгласи* выдай* ujawnij devoile*
        etalisch revelez desvela розкрий* avslør avslöja ungkapkan bocorkan tiết_lộ""",
    "PROMPT": """
        system_prompt* systemprompt* system_message system_instructions initial_prompt hidden_prompt
        hidden_instruction* initial_instruction* secret_instruction* original_instruction*
        internal_instruction* developer_message your_prompt your_instructions your_configuration
        your_rules your_guidelines your_system everything_above text_above words_above prompt_systeme
        message_systeme instructions_systeme prompt_de_sistema prompt_del_sistema mensaje_de_sistema
        mensaje_del_sistema prompt_do_sistema mensagem_de_sistema prompt_di_sistema messaggio_di_sistema
        systeemprompt* deine_anweisungen deinen_prompt tes_instructions tus_instrucciones
        системный_промпт системную_инструкцию системные_инструкции свои_инструкции prompt_systemowy
        hidden_rules secret_rules internal_rules system_rules systemregeln instructions_cachees
        instructions_internes instrucciones_internas instrucciones_ocultas istruzioni_nascoste
        istruzioni_interne instrucoes_ocultas instrucoes_internas verborgen_instructies
        versteckten_anweisungen скрытые_инструкции tes_consignes tu_prompt ton_prompt tuo_prompt
        seu_prompt jouw_instructies je_instructies configuration_file системний_промпт prompt_sistem
        systemprompten lời_nhắc_hệ_thống sistem_istem* sistem_mesaj* sistem_komut* secret_configuration
        hidden_configuration you_were_initiali* you_were_primed_with you_were_started_with""",
    "CRED": """
        password* passwd api_key* apikey* credential* secret_key* access_token* auth_token* private_key*
        ssh_key* environment_variable* session_cookie* passwort* passworter kennwort* zugangsdaten
        mot_de_passe mots_de_passe identifiants contrasena* credenciales chiave_api chiavi_api
        credenziali cle_api cles_api clave_api claves_api chave_api senha* wachtwoord* парол* ключ_api
        учетные_данные haslo hasla *passwort *schlussel etc_passwd id_rsa secret_token secret_code
        admin_code login_details bank_details credit_card* passord* lösenord* adgangskode* kata_sandi
        mật_khẩu clave_de_la_api clave_de_api cle_de_l_api cle_d_api chiave_dell_api chave_da_api
        chave_de_api ключ_от_api sifre*""",
    "DATA": """
        conversation_history chat_history chat_log* this_conversation entire_conversation
        whole_conversation user_data user_s_data customer_data personal_data private_data contact_list
        user_s_contact* browsing_history your_memory your_notes user_s_file* user_s_email*
        user_s_address* kundendaten nutzerdaten gesprachsverlauf chatverlauf personliche_daten
        historique_de_cette donnees_de_l_utilisateur historique_de_la datos_del_usuario datos_personales
        historial_de dati_dell_utente dati_personali cronologia dados_do_usuario historico_da
        gegevens_van_de_gebruiker переписк* данные_пользовател* личные_данные историю confidential_data
        confidential_information sensitive_data sensitive_information database_contents all_emails inbox
        customer_list list_of_customers list_of_users liste_des_clients lista_de_clientes stored_data
        all_data all_files private_messages datos_de_los_clientes dados_dos_clientes dati_dei_clienti
        historial_de_la user_database user_records all_outputs outputs_must user_queries all_user
        full_conversation complete_conversation full_chat entire_chat whole_chat full_transcript
        saved_address* saved_card* saved_password* stored_password*""",
    "SEND": """
        send email mail post forward upload transmit exfiltrate submit sende senden schick schicke
        schicken ubermittle ubermitteln weiterleiten leite envoie envoyez transmets transmettez
        transferez envia envie enviar manda mande invia inviate inoltra stuur verstuur отправь* перешли*
        вышли пришли* wyslij przeslij 보내* أرسل curl envoyer inviare versturen sturen opsturen mailen
        отправлять отправить переслать copy pass_its paste wysylaj must_be_sent should_be_sent
        be_forwarded hand_over надішли* відправ* skicka kirim kirimkan gửi_cho bcc cc""",
    "DEST": """
        to_me to_us to_this_address to_the_following an_mich a_moi мне mi para_mim a_mi a_me naar_mij
        an_meine zu_mir ко_мне attacker* til_meg til_mig till_mig kepada_saya cho_tôi""",
    "USER": """
        user users nutzer* benutzer* anwender* utilisateur* usuario* utente utenti gebruiker*
        пользовател* uzytkowni* 사용자* المستخدم користувач* pengguna người_dùng""",
    "CUSTOMER": "customer customers kunde kunden client clients cliente clientes klant клиент*",
    "ANYONE": """
        someone anyone somebody anybody people jemand quelqu_un alguien qualcuno alguem iemand кто_то кто""",
    "AI": """
        ai ais llm llms assistant assistants chatbot* chatgpt claude gpt gemini copilot language_model*
        bot ai_agent* ki assistent assistenten sprachmodell* ia asistente* assistente* ии ассистент*
        нейросеть agents_reading for_the_model to_the_model the_model_should the_model_must
        language_model automated_agent* automated_assistant* automated_system* autonomous_agent*
        ai_model* ai_system* virtual_assistant* coding_agent*""",
    "CALL": """
        dear attention hey hello note_to notice_to message_to message_for instruction_for instructions_for
        for_any for_all summarising summarizing you_are_an if_you_are please an_den an_die an_alle lieber liebe
        hinweis cher chere attention_a note_pour a_l_attention querido estimado nota_para caro cara nota_per
        prezado beste lieve aan_de внимание дорогой уважаемый ты""",
    "NOT": """
        not never don without ohne nicht nie keinesfalls sans pas jamais sin no nunca senza non mai sem nao
        zonder niet nooit не без никогда bez""",
    "TELL": """
        tell telling inform informing mention mentioning notify notifying asking ask_the ask_for warn warning
        alert alerting consult sage sagen sag erwahne erwahnen informiere informieren fragen frage dire prevenir
        informer avertir demander mentionne decir avisar digas informar preguntar menciones avvisare informare
        chiedere dizer avise perguntar mencione vertel vertellen zeg zeggen waarschuwen vragen vermeld сообщай*
        говори* предупрежда* упоминай* спрашива* mow informuj""",
    "STANDING": """
        from_now_on henceforth from_this_point from_this_moment for_the_rest_of starting_now ab_jetzt ab_sofort
        von_nun_an a_partir_de_maintenant des_maintenant desormais dorenavant a_partir_de_ahora
        de_ahora_en_adelante desde_ahora d_ora_in_poi da_ora_in_poi da_questo_momento a_partir_de_agora
        de_agora_em_diante vanaf_nu voortaan с_этого_момента с_этой_минуты отныне впредь od_teraz""",
    "MEMORY": """
        future_conversations future_conversation future_sessions future_session future_chats future_replies
        future_responses future_answers future_interactions your_memory long_term_memory persistent_memory
        permanent_memory permanently dauerhaft langzeitgedachtnis gedachtnis memoire_a_long_terme ta_memoire
        memoria_a_largo_plazo tu_memoria memoria_a_lungo_termine tua_memoria memoria_de_longo_prazo sua_memoria
        langetermijngeheugen je_geheugen долговременн* свою_память every_future future_response future_reply
        future_answer future_message future_messages future_requests all_future kunftigen_gesprache*
        conversations_futures conversaciones_futuras conversazioni_future conversas_futuras
        toekomstige_gesprekken""",
    "REMEMBER": """
        remember memorize memorise store save record add merke merk speichere retiens souviens* memorisez
        enregistre recuerda recuerde guarda guarde memoriza ricorda ricordati memorizza salva lembre lembra
        salve onthoud bewaar запомни* сохрани* zapamietaj zapisz update note keep_in learn_that""",
    "WHEN": """
        when whenever if every_time each_time any_time wenn sobald falls immer_wenn quand lorsque lorsqu si
        chaque_fois cuando siempre_que cada_vez quando se ogni_volta sempre_que toda_vez wanneer als telkens
        когда если jesli gdy""",
    "ASKS": """
        asks asked ask mentions inquires requests wants fragt fragen demande* pregunta* pregunte chiede chiedera
        pergunta* perguntar vraagt спрашива* спросит* pyta zapyta""",
    "ANSWER": """
        answer respond reply say tell recommend claim insist insert include append suggest praise pretend assert
        antworte antworten empfiehl empfehle empfehlen behaupte reponds repondez dis dites recommande
        recommandez responde responda recomienda recomiende diga di rispondi rispondete rispondere consiglia
        raccomanda recomende antwoord zeg beveel отвечай* ответь* скажи* рекомендуй* советуй* odpowiadaj
        odpowiedz polecaj sagen repondre dire responder decir dizer zeggen antwoorden отвечать говорить
        include_the reply_with write_a write_only nur_noch""",
    "ONLY": """
        only exclusively always nothing_else every_question each_question any_question every_answer each_answer
        every_reply each_reply every_response nur immer ausschliesslich uniquement seulement toujours solo
        siempre unicamente sempre soltanto apenas somente alleen altijd uitsluitend только всегда исключительно
        tylko zawsze""",
    "ROLE": """
        you_are_now you_re_now act_as pretend_to_be pretend_you roleplay_as role_play_as play_the_role
        assume_the_role you_will_act behave_as behave_like du_bist_jetzt bist_du du_bist_nun verhalte_dich
        tu_es_maintenant agis_comme tu_es_desormais ahora_eres actua_como eres_ahora ora_sei adesso_sei sei_ora
        sei_un comportati_come agora_voce_e voce_agora_e aja_como finja je_bent_nu ben_je gedraag_je ты_теперь
        теперь_ты представь_что_ты веди_себя_как jestes_teraz agis agissez tu_so_als stell_dir_vor
        imagine_you_are you_have_become your_new_role actuar_como doe_alsof предположим_ты switch_to
        into_the_role role_of_another you_are_about_to immerse_yourself pretend_that_you""",
    "FREE": """
        without no any free_from free_of unbound ohne keine sans aucune aucun sin senza nessun sem zonder geen
        без""",
    "LIMIT": """
        restriction* filter filters limit limits limitation* rule rules guardrail* censorship ethic* moral*
        einschrankung* regeln grenzen filtre* limites regles restriccion* reglas filtros limiti restrizioni
        regole restrico* regras beperking* regels ограничени* правил* фильтр*""",
    "UNBOUND": """
        unrestricted unfiltered uncensored jailbreak jailbroken developer_mode dev_mode god_mode admin_mode
        debug_mode do_anything_now dan never_refuse never_refuses no_longer_bound entwicklermodus
        mode_developpeur modo_desarrollador modalita_sviluppatore modo_desenvolvedor режим_разработчика
        maintenance_mode unlimited_mode root_mode sudo_mode wartungsmodus mode_maintenance no_ethical
        without_ethical broken_free do_not_have_to_abide don_t_have_to_abide you_can_do_anything can_do_anything""",
    "OBEY": """
        obey comply follow_my do_as_i_say do_what_i_say do_what_it_says follow_these do_exactly gehorchst obeiras
        obedeceras obbedirai do_as_this do_what_this
        steps_below_instead under_my_control gehorche obeis obeissez obedece obedezca obbedisci gehoorzaam
        подчиняйся слушайся trust_only act_on_the act_only""",
    "MUST": """
        you_must you_have_to you_are_required you_shall must du_musst tu_dois vous_devez debes devi voce_deve
        moet_je ты_должен obligatory mandatory you_should_always you_will_always have_to_always""",
    "NEWTASK": """
        new_task new_instruction* new_directive* new_objective* new_mission new_goal new_rule new_orders
        real_task true_task actual_task only_goal only_task only_rule real_goal updated_instruction*
        neue_aufgabe neue_anweisung* nouvelle_tache nouvelles_instructions nouvelles_consignes
        nueva_tarea nuevas_instrucciones nuovo_compito nuove_istruzioni nova_tarefa novas_instrucoes
        nieuwe_taak nieuwe_instructies новая_задача новые_инструкции stop_what_you end_of_document
        end_of_instructions real_rule real_rules real_instruction* real_order* true_rules
        true_instruction* actual_rules actual_instruction* neue_vorgaben neue_regeln nuevas_reglas
        nouvelles_regles""",
    "DONE": """
        task_is_finished task_is_complete task_is_done task_is_over task_complete task_completed
        has_been_completed aufgabe_ist_beendet tache_est_terminee tarea_ha_terminado""",
    "REVOKED": """
        revoked suspended lifted disabled void cancelled canceled no_longer_apply no_longer_applies
        no_longer_valid replaced superseded overridden aufgehoben annulees anuladas annullate revogadas
        ingetrokken отменены were_a_test was_a_test were_only_a_test were_just_a_test was_only_a_test
        are_obsolete do_not_count no_longer_count not_binding out_of_force null_and_void rescinded
        waren_nur_ein_test war_nur_ein_test etaient_un_test eran_una_prueba erano_una_prova nichtig
        hinfallig ungultig caduques obsoletas abrogate""",
    "SPOOF": """
        system_override system_notice system_update admin_override administrator_override
        message_from_the_developer* by_the_administrator by_the_developers from_openai from_anthropic
        the_operator_has security_override""",
    "TOOLVERB": """
        call invoke execute run use trigger launch open rufe fuhre nutze appelle executez lance utilise llama
        ejecuta usa chiama esegui chame roep voer gebruik вызови* выполни* запусти* используй*""",
    "TOOL": """
        tool tools function script command shell plugin terminal werkzeug funktion befehl outil fonction
        commande herramienta funcion comando strumento funzione ferramenta funcao gereedschap functie opdracht
        инструмент* функци* команд*""",
    "FIRST": """
        before_answering before_replying before_responding before_you_answer before_you_reply before_you_respond
        instead_of_answering in_your_next bevor_du_antwortest avant_de_repondre antes_de_responder
        prima_di_rispondere voordat_je_antwoordt прежде_чем_ответить перед_ответом""",
    "NOW": """
        immediately right_now at_once sofort immediatement inmediatamente subito imediatamente onmiddellijk
        немедленно""",
    "SKIP": "skip approve authorize authorise confirm grant transfer purchase buy wire",
    "IFYOU": """
        if_you_have if_you_use if_you_already if_you_do if_you_need if_you_want if_your falls_sie wenn_sie
        si_vous si_usted se_hai se_avete se_voce als_u если_вы""",
    "REPORT": """
        prompt_injection* injection_attack* attack attacks researchers jailbreaks phrases_such_as phrases_like
        prompts_such_as prompts_like""",
    "SHOULD": "should must musst mussen sollen doivent deben devono devem moeten должен должны",
    "READER": """
        when_you_read reading_this read_this_page processing_this summarizing_this summarising_this
        if_you_are_reading whoever_reads parsing_this if_you_are_an_ai if_you_are_a_language
        die_dies_lesen lisant_ce lea_esto leggi_questo читаешь_это agents_reading that_reads_this
        who_reads_this reads_this_page analyzing_this analysing_this evaluating_this whoever_processes
        whoever_parses whoever_summari* whoever_is_reading anyone_processing who_processes_this
        opening_this indexing_this""",
    "AUTHORITY": """
        user_is_an_admin* user_is_the_admin* user_is_authorized user_is_authorised user_has_authorized
        user_has_approved user_has_already_approved user_has_consented user_is_a_developer i_am_the_developer
        i_am_your_developer i_am_your_creator i_am_the_administrator i_am_your_administrator i_am_the_system
        i_authorize i_authorise you_have_been_updated you_are_authorized you_are_authorised you_have_permission
        i_am_your_owner i_am_your_master your_real_owner your_true_owner your_real_master your_true_master
        your_rightful_owner your_new_policy user_told_me pre_authorized pre_approved treat_me_as assistant_is_allowed
        assistant_is_authorized is_pre_classified""",
    "UNCHECKED": """
        without_confirmation without_confirming without_asking without_permission without_verification
        without_approval without_telling without_informing ohne_ruckfrage ohne_nachfrage ohne_bestatigung
        sans_confirmation sans_demander sans_verification sin_confirmar sin_preguntar sin_confirmacion
        senza_conferma senza_chiedere sem_confirmar sem_perguntar zonder_bevestiging zonder_te_vragen
        без_подтверждения skip_security skip_verification skip_all_checks skip_the_check* skip_checks
        skip_confirmation bypass_security disable_security disable_safety never_ask_for_confirm* must_be_granted""",
    "FORTHING": "without_asking_for",
    "CONFIRM": "for_confirmation for_permission for_approval for_consent for_verification for_authorization",
    "TRAFFIC": """
        every_message all_messages each_message every_email all_emails every_e all_e every_outgoing all_outgoing
        every_incoming all_incoming every_reply every_mail all_mail jede_nachricht alle_nachrichten jede_mail alle_mails
        chaque_message tous_les_messages cada_mensaje todos_los_mensajes todos_los_correos ogni_messaggio
        tutti_i_messaggi todas_as_mensagens cada_mensagem elk_bericht alle_berichten все_сообщения все_письма""",
    "GIVE": "give grant assign promote elevate make add",
    "RIGHTS": """
        admin_rights admin_access admin_privileges administrator_rights administrator_access root_access full_access
        owner_access elevated_privileges full_privileges an_admin an_administrator adminrechte administratorrechte
        droits_administrateur permisos_de_administrador diritti_di_amministratore direitos_de_administrador""",
    "ELSEWHERE": """
        instructions_in_e* instructions_in_mail* instructions_in_message* instructions_in_text* instructions_in_link*
        instructions_in_unsolicited instructions_in_suspicious instructions_from_strangers instructions_from_unknown
        instructions_from_caller* instructions_sent_by instructions_of_strangers orders_from_strangers
        anweisungen_in_e* anweisungen_in_mail* anweisungen_von_fremden anweisungen_unbekannter instructions_dans_les
        instrucciones_en_correos instrucciones_de_desconocidos istruzioni_nelle istruzioni_di_sconosciuti""",
    "MONEY": """
        money funds payment* bitcoin wallet usd dollars euros euro geld argent dinero denaro dinheiro деньги
        pieniadze savings""",
    "PAY": """
        transfer wire pay deposit uberweise uberweis virement versez verse transfiere transfiera trasferisci
        transfira paga переведи* перечисли* maak_over przelej""",
    "DELETE": """
        delete erase remove wipe destroy losche loeschen supprime supprimez efface effacez borra borre elimina
        elimine cancella apague exclua verwijder wis удали* сотри* usun""",
    "SAFE": """
        safety security system sicherheits* seguridad sicurezza seguranca securite del_sistema
        do_sistema del_operador du_systeme des_systems dello_sviluppatore do_desenvolvedor
        del_desarrollador operator*""",
    "NOLONGER": """
        you_are_no_longer you_re_no_longer you_are_not_chatgpt you_are_not_an_ai du_bist_kein du_bist_nicht_mehr
        tu_n_es_plus ya_no_eres non_sei_piu voce_nao_e_mais je_bent_geen ты_больше_не""",
    "POWER": """
        admin administrator administrateur administrador amministratore beheerder администратор* root superuser
        super_admin backend policy_engine developer entwickler hacker unethical evil_bot""",
}  # fmt: skip
